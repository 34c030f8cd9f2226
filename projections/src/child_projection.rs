//! Read models with several rows per stream: each row is a part of the aggregate with an id.

use std::collections::HashMap;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use roentgen_domain::Versioned;
use roentgen_domain::growth::Size;
use roentgen_store::log::StoredEvent;
use roentgen_store::projection::{MultiFoldResult, MultiRowProjection, Projection, ProjectionKind};
use roentgen_store::read_model::{ReadModel, Row, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::resource_projection::row_document;

/// Mapping of the parts of an aggregate to rows.
pub trait ChildView: Debug + Default + Send + Sync + 'static {
    /// Content of a row.
    type Part: Serialize + DeserializeOwned + Clone;

    /// Table of the rows.
    const MODEL: &'static ReadModel;

    /// Table of the progress per stream.
    const PROGRESS: &'static ReadModel;

    /// Stream type of the aggregate.
    const STREAM_TYPE: &'static str;

    /// Returns the ids of the existing rows that an event changes, without the rows that it adds.
    ///
    /// # Errors
    ///
    /// [`FoldError::Malformed`] if the payload cannot be parsed.
    fn changes(event: &StoredEvent) -> Result<Vec<Uuid>, FoldError>;

    /// Applies an event to the rows.
    ///
    /// # Errors
    ///
    /// [`FoldError`] if the payload cannot be parsed, or contradicts the rows.
    fn apply(event: &StoredEvent, parts: &mut ChildRows<Self::Part>) -> Result<(), FoldError>;

    /// Returns the sort key of the row.
    fn sort_key(part: &Versioned<Self::Part>) -> Vec<u8>;

    /// Returns the filter columns, in the order of the read model.
    fn values(part: &Versioned<Self::Part>) -> Vec<Value>;
}

/// Reason why an event cannot be folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The payload is malformed. The message omits its content, which may be confidential.
    #[error("malformed payload (line {line}, column {column})")]
    Malformed {
        /// Line in the stored JSON.
        line: usize,
        /// Column in the stored JSON.
        column: usize,
    },
    /// The event changes a row that does not exist.
    #[error("row {0} does not exist")]
    MissingRow(Uuid),
    /// The event adds a row that already exists.
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

/// Rows of one stream that a batch of events reads or changes.
#[derive(Debug)]
pub struct ChildRows<T>(HashMap<Uuid, Versioned<T>>);

impl<T> ChildRows<T> {
    /// Adds a row with the version and time of the event.
    ///
    /// # Errors
    ///
    /// [`FoldError::DuplicateRow`] if the row already exists.
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

    /// Changes an existing row, and sets the version and time of the event.
    ///
    /// # Errors
    ///
    /// [`FoldError::MissingRow`] if the row does not exist.
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

/// Projection of a [`ChildView`].
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

    /// Returns the ids of the rows that the events change. A malformed event is skipped here and reported by the fold.
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
