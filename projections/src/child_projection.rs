//! Read models with several rows a stream: a row is a part of the aggregate that has an id of its own.

use std::collections::HashMap;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use roentgen_domain::Versioned;
use roentgen_domain::growth::Size;
use roentgen_store::log::StoredEvent;
use roentgen_store::projector::{MultiFoldResult, MultiRowProjection, Projection, ProjectionKind};
use roentgen_store::read_model::{ReadModel, Row, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::resource_projection::row_document;

/// How the parts of an aggregate become rows.
pub trait ChildView: Debug + Default + Send + Sync + 'static {
    /// What a row shows.
    type Part: Serialize + DeserializeOwned + Clone;

    /// The table.
    const MODEL: &'static ReadModel;

    /// The table that says how far each stream is folded.
    const PROGRESS: &'static ReadModel;

    /// The type of the streams.
    const STREAM_TYPE: &'static str;

    /// Returns the rows that an event changes, without those it adds.
    ///
    /// # Errors
    ///
    /// [`FoldError::Malformed`] if the payload cannot be read.
    fn changes(event: &StoredEvent) -> Result<Vec<Uuid>, FoldError>;

    /// Applies an event to the rows.
    ///
    /// # Errors
    ///
    /// [`FoldError`] if the payload cannot be read, or does not fit the rows.
    fn apply(event: &StoredEvent, parts: &mut ChildRows<Self::Part>) -> Result<(), FoldError>;

    /// Where the row stands in the list.
    fn sort_key(part: &Versioned<Self::Part>) -> Vec<u8>;

    /// The filter columns, in the model's order.
    fn values(part: &Versioned<Self::Part>) -> Vec<Value>;
}

/// Why an event cannot be folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// Its payload is out of form. What it says is withheld.
    #[error("malformed payload (line {line}, column {column})")]
    Malformed {
        /// Line in the stored JSON.
        line: usize,
        /// Column in the stored JSON.
        column: usize,
    },
    /// It changes a part that is not there.
    #[error("row {0} does not exist")]
    MissingRow(Uuid),
    /// It adds a part that is there.
    #[error("row {0} already exists")]
    DuplicateRow(Uuid),
}

impl From<serde_json::Error> for FoldError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// The parts that a batch of one stream's events touches.
#[derive(Debug)]
pub struct ChildRows<T>(HashMap<Uuid, Versioned<T>>);

impl<T> ChildRows<T> {
    /// Adds a row, as of this event.
    ///
    /// # Errors
    ///
    /// [`FoldError::DuplicateRow`] if it exists.
    pub fn add(&mut self, id: Uuid, event: &StoredEvent, part: T) -> Result<(), FoldError> {
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
            Some(_) => Err(FoldError::DuplicateRow(id)),
        }
    }

    /// Changes an existing row, as of this event.
    ///
    /// # Errors
    ///
    /// [`FoldError::MissingRow`] if it does not exist.
    pub fn change(
        &mut self,
        id: Uuid,
        event: &StoredEvent,
        change: impl FnOnce(&mut T),
    ) -> Result<(), FoldError> {
        let row = self.0.get_mut(&id).ok_or(FoldError::MissingRow(id))?;
        change(&mut row.state);
        row.updated_at = event.recorded_at();
        row.version = event.version;
        Ok(())
    }
}

/// The projection of a [`ChildView`].
#[derive(Debug, Default)]
pub struct ChildProjection<V>(PhantomData<V>);

impl<V: ChildView> Projection for ChildProjection<V> {
    fn model(&self) -> &'static ReadModel {
        V::MODEL
    }

    fn stream_type(&self) -> &'static str {
        V::STREAM_TYPE
    }

    fn kind(&self) -> ProjectionKind<'_> {
        ProjectionKind::MultiRow(self)
    }
}

impl<V: ChildView> MultiRowProjection for ChildProjection<V> {
    fn progress_table(&self) -> &'static ReadModel {
        V::PROGRESS
    }

    /// An event that cannot be read changes nothing here; the fold says what is wrong with it.
    fn changed_rows(&self, events: &[Arc<StoredEvent>]) -> Vec<Uuid> {
        let ids = events.iter().filter_map(|event| V::changes(event).ok());
        ids.flatten().collect()
    }

    fn fold(&self, rows: HashMap<Uuid, Row>, events: &[Arc<StoredEvent>]) -> MultiFoldResult {
        let mut parts = ChildRows(HashMap::with_capacity(rows.len()));
        let mut folded = None;
        let mut stuck = None;
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
        let last = folded.as_ref().map_or(0, |event| event.version);
        let first = events.first().map_or(0, |event| event.version);
        let touched = parts.0.into_values();
        let touched = touched.filter(|touched| (first..=last).contains(&touched.version));
        match touched.map(|touched| to_row::<V>(&touched)).collect() {
            Ok(rows) => MultiFoldResult {
                rows,
                folded,
                stuck,
            },
            Err(reason) => MultiFoldResult {
                rows: Vec::new(),
                folded: None,
                stuck: events.first().map(|event| (event.position, reason)),
            },
        }
    }
}

fn to_row<V: ChildView>(part: &Versioned<V::Part>) -> Result<Row, String> {
    Ok(Row {
        id: part.id.as_uuid(),
        tenant_id: part.tenant_id,
        patient_id: None,
        version: part.version,
        sort_key: V::sort_key(part),
        values: V::values(part),
        document: row_document(part)?,
        sealed: Vec::new(),
    })
}
