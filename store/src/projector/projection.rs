//! How streams become rows.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use uuid::Uuid;

use crate::log::StoredEvent;
use crate::read_model::{ReadModel, Row, Table};

/// A read model and how it follows from the log.
pub trait Projection: Debug + Send + Sync + 'static {
    /// Its table.
    fn model(&self) -> &'static ReadModel;

    /// The type of the streams that it folds.
    fn stream_type(&self) -> &'static str;

    /// How a stream becomes rows.
    fn kind(&self) -> ProjectionKind<'_>;

    /// A generation's tables, that of the model first.
    fn tables(&self, generation: u32) -> Vec<Table> {
        let beside = match self.kind() {
            ProjectionKind::SingleRow(_) => None,
            ProjectionKind::MultiRow(several) => Some(several.progress_table()),
        };
        let models = std::iter::once(self.model()).chain(beside);
        models.map(|model| Table { model, generation }).collect()
    }
}

/// How a stream becomes rows.
#[derive(Debug, Clone, Copy)]
pub enum ProjectionKind<'a> {
    /// One row a stream, whose id is the stream's.
    SingleRow(&'a dyn SingleRowProjection),
    /// Several rows a stream, each with an id of its own.
    MultiRow(&'a dyn MultiRowProjection),
}

/// Folds a stream into its one row.
pub trait SingleRowProjection: Debug + Send + Sync {
    /// The row after some more of its stream's events, in order.
    fn fold(&self, row: Option<Row>, events: &[Arc<StoredEvent>]) -> FoldResult;
}

/// Folds a stream into several rows. How far the stream is folded cannot be read from them: a row says when it was
/// touched last. So there is a table beside them with a row a stream that says it, written in the same transaction.
pub trait MultiRowProjection: Debug + Send + Sync {
    /// The table beside: no columns, no indexes.
    fn progress_table(&self) -> &'static ReadModel;

    /// The rows that these events of one stream change, beside those they add.
    fn changed_rows(&self, events: &[Arc<StoredEvent>]) -> Vec<Uuid>;

    /// The rows after some more of their stream's events, in order; `rows` are those of [`Self::changed_rows`] that are
    /// there.
    fn fold(&self, rows: HashMap<Uuid, Row>, events: &[Arc<StoredEvent>]) -> MultiFoldResult;
}

/// What became of a stream's rows.
#[derive(Debug)]
pub struct MultiFoldResult {
    /// Those that were added or changed.
    pub rows: Vec<Row>,
    /// The last event that could be folded.
    pub folded: Option<Arc<StoredEvent>>,
    /// The first event that could not, and why (without PHI).
    pub stuck: Option<(u64, String)>,
}

/// What became of a stream's row.
#[derive(Debug)]
pub struct FoldResult {
    /// The row after the last event that could be folded.
    pub row: Option<Row>,
    /// The first event that could not, and why (without PHI).
    pub stuck: Option<(u64, String)>,
}
