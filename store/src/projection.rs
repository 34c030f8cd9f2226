//! How streams are folded into rows. A projection is a pure function from the events of one stream to its row or rows.

pub(crate) mod batch;
pub(crate) mod existing_rows;
pub(crate) mod failure_scope;
pub(crate) mod live_tables;
pub(crate) mod stream_fold;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::log::StoredEvent;
use crate::read_model::{ReadModel, Row, Table};

/// Maximum number of events from the database in one transaction.
pub(crate) const BATCH_CATCH_UP: u32 = 4000;
/// Maximum bytes of payload and sealed PHI in one transaction. One event can produce a thousand rows.
pub(crate) const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Interval between polls while nothing happens.
pub(crate) const POLL_IDLE: Duration = Duration::from_secs(1);
/// Pause after an error.
pub(crate) const ERROR_BACKOFF: Duration = Duration::from_millis(250);

/// Read model, and how it is projected from the log.
pub trait Projection: Debug + Send + Sync + 'static {
    /// Returns the schema of the read model.
    fn model(&self) -> &'static ReadModel;

    /// Returns the type of the streams that the projection folds.
    fn stream_type(&self) -> &'static str;

    /// Returns how a stream is folded into rows.
    fn kind(&self) -> ProjectionKind<'_>;

    /// Returns the tables of a generation, the read model's table first.
    fn tables(&self, generation: u32) -> Vec<Table> {
        let beside = match self.kind() {
            ProjectionKind::SingleRow(_) => None,
            ProjectionKind::MultiRow(several) => Some(several.progress_table()),
        };
        let models = std::iter::once(self.model()).chain(beside);
        models.map(|model| Table { model, generation }).collect()
    }
}

/// Number of rows per stream, with the fold.
#[derive(Debug, Clone, Copy)]
pub enum ProjectionKind<'a> {
    /// One row per stream, with the stream's id.
    SingleRow(&'a dyn SingleRowProjection),
    /// Several rows per stream, each with a separate id.
    MultiRow(&'a dyn MultiRowProjection),
}

/// Projection that folds a stream into one row.
pub trait SingleRowProjection: Debug + Send + Sync {
    /// Folds the stream's next events, in order, into the row.
    fn fold(&self, row: Option<Row>, events: &[Arc<StoredEvent>]) -> FoldResult;
}

/// Projection that folds a stream into several rows. A row stores only when it was last changed, not how far the stream
/// is folded. A separate progress table stores that, with one row per stream, written in the same transaction.
pub trait MultiRowProjection: Debug + Send + Sync {
    /// Returns the progress table, which has no additional columns and no indexes.
    fn progress_table(&self) -> &'static ReadModel;

    /// Returns the rows that these events of one stream change, without the rows that they add.
    fn changed_rows(&self, events: &[Arc<StoredEvent>]) -> Vec<Uuid>;

    /// Folds the stream's next events, in order. `rows` are the existing rows among [`Self::changed_rows`].
    fn fold(&self, rows: HashMap<Uuid, Row>, events: &[Arc<StoredEvent>]) -> MultiFoldResult;
}

/// Result of folding events into several rows.
#[derive(Debug)]
pub struct MultiFoldResult {
    /// Rows that were added or changed.
    pub rows: Vec<Row>,
    /// Last event that could be folded.
    pub folded: Option<Arc<StoredEvent>>,
    /// Position of the first event that could not be folded, and the reason (without PHI).
    pub stuck: Option<(u64, String)>,
}

/// Result of folding events into one row.
#[derive(Debug)]
pub struct FoldResult {
    /// Row after the last event that could be folded.
    pub row: Option<Row>,
    /// Position of the first event that could not be folded, and the reason (without PHI).
    pub stuck: Option<(u64, String)>,
}

/// Returns the names of the leases of these projections: one per schema.
pub fn leases(projections: &[Arc<dyn Projection>]) -> Vec<String> {
    projections
        .iter()
        .map(|projection| projection.model().schema_name())
        .collect()
}
