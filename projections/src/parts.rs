//! Read models with several rows a stream: a row is a part of the aggregate that has an id of its own.

use std::collections::HashMap;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use roentgen_domain::Versioned;
use roentgen_domain::growth::Size;
use roentgen_store::log::StoredEvent;
use roentgen_store::model::{Model, Row, Value};
use roentgen_store::projector::{FoldedRows, Folding, FoldsRows, Projection};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// How the parts of an aggregate become rows.
pub trait PartView: Debug + Default + Send + Sync + 'static {
    /// What a row shows.
    type Part: Serialize + DeserializeOwned + Clone;

    /// The table.
    const MODEL: &'static Model;

    /// The table that says how far each stream is folded.
    const PROGRESS: &'static Model;

    /// The type of the streams.
    const STREAM_TYPE: &'static str;

    /// The parts that an event changes, beside those it adds.
    fn changes(event: &StoredEvent) -> Result<Vec<Uuid>, NotFolded>;

    /// What an event makes of the parts.
    fn apply(event: &StoredEvent, parts: &mut Parts<Self::Part>) -> Result<(), NotFolded>;

    /// Where the row stands in the list.
    fn sort_key(part: &Versioned<Self::Part>) -> Vec<u8>;

    /// The filter columns, in the model's order.
    fn values(part: &Versioned<Self::Part>) -> Vec<Value>;
}

/// Why an event cannot be folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotFolded {
    /// Its payload is out of form. What it says is withheld.
    #[error("the payload is out of form (line {line}, column {column})")]
    Form {
        /// Line in the stored JSON.
        line: usize,
        /// Column in the stored JSON.
        column: usize,
    },
    /// It changes a part that is not there.
    #[error("there is no row {0} to change")]
    NoSuchPart(Uuid),
    /// It adds a part that is there.
    #[error("the row {0} is there already")]
    PartExists(Uuid),
}

impl From<serde_json::Error> for NotFolded {
    fn from(error: serde_json::Error) -> Self {
        Self::Form {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// The parts that a batch of one stream's events touches.
#[derive(Debug)]
pub struct Parts<T>(HashMap<Uuid, Versioned<T>>);

impl<T> Parts<T> {
    /// Adds a part, as of this event.
    pub fn add(&mut self, id: Uuid, event: &StoredEvent, part: T) -> Result<(), NotFolded> {
        let time = event.recorded_at();
        let row = Versioned {
            id: id.into(),
            tenant_id: event.tenant_id,
            state: part,
            created_at: time,
            updated_at: time,
            version: event.version,
            size: Size::default(),
        };
        match self.0.insert(id, row) {
            None => Ok(()),
            Some(_) => Err(NotFolded::PartExists(id)),
        }
    }

    /// Changes a part that is there, as of this event.
    pub fn change(
        &mut self,
        id: Uuid,
        event: &StoredEvent,
        change: impl FnOnce(&mut T),
    ) -> Result<(), NotFolded> {
        let row = self.0.get_mut(&id).ok_or(NotFolded::NoSuchPart(id))?;
        change(&mut row.state);
        row.updated_at = event.recorded_at();
        row.version = event.version;
        Ok(())
    }
}

/// The projection of a [`PartView`].
#[derive(Debug, Default)]
pub struct PartDocuments<V>(PhantomData<V>);

impl<V: PartView> Projection for PartDocuments<V> {
    fn model(&self) -> &'static Model {
        V::MODEL
    }

    fn stream_type(&self) -> &'static str {
        V::STREAM_TYPE
    }

    fn folding(&self) -> Folding<'_> {
        Folding::Rows(self)
    }
}

impl<V: PartView> FoldsRows for PartDocuments<V> {
    fn progress(&self) -> &'static Model {
        V::PROGRESS
    }

    /// An event that cannot be read changes nothing here; the fold says what is wrong with it.
    fn changes(&self, events: &[Arc<StoredEvent>]) -> Vec<Uuid> {
        let ids = events.iter().filter_map(|it| V::changes(it).ok());
        ids.flatten().collect()
    }

    fn fold(&self, rows: HashMap<Uuid, Row>, events: &[Arc<StoredEvent>]) -> FoldedRows {
        let mut parts = Parts(HashMap::with_capacity(rows.len()));
        let (mut folded, mut stuck) = (None, None);
        for row in rows.into_values() {
            if let Ok(part) = serde_json::from_str(&row.document) {
                parts.0.insert(row.id, part);
            }
        }
        for event in events {
            match V::apply(event, &mut parts) {
                Ok(()) => folded = Some(Arc::clone(event)),
                Err(error) => {
                    stuck = Some((event.position, error.to_string()));
                    break;
                }
            }
        }
        let last = folded.as_ref().map_or(0, |it| it.version);
        let first = events.first().map_or(0, |it| it.version);
        let touched = parts.0.into_values();
        let touched = touched.filter(|it| (first..=last).contains(&it.version));
        FoldedRows {
            rows: touched.map(|it| close::<V>(&it)).collect(),
            folded,
            stuck,
        }
    }
}

fn close<V: PartView>(part: &Versioned<V::Part>) -> Row {
    Row {
        id: part.id.as_uuid(),
        tenant_id: part.tenant_id,
        patient_id: None,
        version: part.version,
        sort_key: V::sort_key(part),
        values: V::values(part),
        document: serde_json::to_string(part).unwrap_or_default(),
        sealed: Vec::new(),
    }
}
