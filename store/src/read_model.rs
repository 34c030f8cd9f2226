//! Storage of read models: tables of JSON documents with filter columns and one order-preserving sort key.
//!
//! A row is folded from exactly one stream, so that `document == render(fold(stream))` can be tested and a parked
//! stream can be retried. PHI stays sealed: a row carries the sealed parts of its stream's events, byte for byte. A
//! schema can have more than one generation: see [`crate::generation`].

use roentgen_domain::ids::{PatientId, StreamId, TenantId};
use uuid::Uuid;

use crate::chain::{Digest, GENESIS};
use crate::log::MAX_PAGE_BYTES;

/// The schema of a read model: the fixed columns of [`Row`] and the model's filter columns.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadModel {
    /// Name of the read model: lower-case letters and `_`.
    pub name: &'static str,
    /// Schema version. A changed schema, or a changed fold, requires a new version and a new table.
    pub version: u32,
    /// The filter columns.
    pub columns: &'static [Column],
    /// Secondary indexes: `(tenant_id, columns..., sort_key)`.
    pub indexes: &'static [Index],
}

/// A filter column, nullable.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// Column name: lower-case letters and `_`.
    pub name: &'static str,
    /// Data type.
    pub kind: ColumnKind,
}

/// The data type of a filter column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// A UUID.
    Uuid,
    /// Text.
    Text,
    /// A Boolean.
    Bool,
}

/// A secondary index over `(tenant_id, columns..., sort_key)`.
#[derive(Debug, PartialEq, Eq)]
pub struct Index {
    /// Leading filter columns; may be empty.
    pub columns: &'static [&'static str],
    /// Whether rows are left out of the index if its first column is null.
    pub sparse: bool,
}

impl ReadModel {
    /// Returns the name of the schema: `<name>_v<version>`.
    pub fn schema_name(&self) -> String {
        format!("{}_v{}", self.name, self.version)
    }

    /// Returns the number of the index that has exactly the columns of the prefix, in any order. `None` for a prefix
    /// that selects a row by `id`; every other prefix must have an index.
    pub fn index_of(&self, prefix: &[(&'static str, Value)]) -> Option<usize> {
        self.indexes.iter().position(|index| {
            index.columns.len() == prefix.len()
                && index
                    .columns
                    .iter()
                    .all(|column| prefix.iter().any(|(name, _)| name == column))
        })
    }
}

/// A table: one generation of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Schema of the table.
    pub model: &'static ReadModel,
    /// Number of the generation, from 1.
    pub generation: u32,
}

impl Table {
    /// Returns the table's name: that of the schema, and from the second generation on `<schema>_g<generation>`.
    pub fn name(&self) -> String {
        match self.generation {
            1 => self.model.schema_name(),
            later => format!("{}_g{later}", self.model.schema_name()),
        }
    }
}

/// The value of a filter column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Null.
    Null,
    /// A UUID.
    Uuid(Uuid),
    /// Text.
    Text(String),
    /// A Boolean.
    Bool(bool),
}

impl Value {
    /// Creates a UUID value, or null.
    pub fn uuid(id: Option<Uuid>) -> Self {
        id.map_or(Self::Null, Self::Uuid)
    }

    /// Creates a text value, or null.
    pub fn text(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Null, |into| Self::Text(into.into()))
    }
}

/// One row of a read model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Id of the aggregate and of its stream.
    pub id: Uuid,
    /// Tenant of the row.
    pub tenant_id: TenantId,
    /// Patient whose key sealed `sealed`.
    pub patient_id: Option<PatientId>,
    /// Version of the stream up to which the row is folded.
    pub version: u64,
    /// Sort key of the list; unique, because it ends with the id.
    pub sort_key: Vec<u8>,
    /// Values of the filter columns, in the order of the model's columns.
    pub values: Vec<Value>,
    /// Members of the resource without PHI, as JSON.
    pub document: String,
    /// Sealed parts of the stream's events that are still visible (see [`crate::keys::SealedPhi`]).
    pub sealed: Vec<u8>,
}

impl Row {
    /// Returns the approximate size in memory, in bytes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.document.len() + self.sealed.len()
    }
}

/// The end of a batch of rows: the row that makes the batch larger than its limit is the last.
#[derive(Debug)]
pub(crate) struct RowBatchLimit {
    least: usize,
    most_bytes: usize,
    rows: usize,
    bytes: usize,
}

impl RowBatchLimit {
    /// Creates a limit of `most_bytes` that applies from the row number `least` on.
    pub(crate) const fn new(least: usize, most_bytes: usize) -> Self {
        Self {
            least,
            most_bytes,
            rows: 0,
            bytes: 0,
        }
    }

    /// Creates the limit of a list page: at least one row, and the row after it, which shows that there is another
    /// page.
    pub(crate) const fn of_list() -> Self {
        Self::new(2, MAX_PAGE_BYTES)
    }

    /// Returns whether the batch ends with this row.
    pub(crate) fn ends_with(&mut self, row: &Row) -> bool {
        self.rows += 1;
        self.bytes = self.bytes.saturating_add(row.weight());
        self.rows >= self.least && self.bytes > self.most_bytes
    }
}

/// The progress of a projection: last position processed, and the chain hash at this position. With the hash, a log
/// that was restored to an earlier point is detected and rejected, and its new events are not skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Position of the last event processed.
    pub position: u64,
    /// Chain hash of that event.
    pub hash: Digest,
}

impl Checkpoint {
    /// The checkpoint before the first event.
    pub const START: Self = Self {
        position: 0,
        hash: GENESIS,
    };
}

/// The changes to read models from one batch of events.
#[derive(Debug)]
pub struct ProjectionBatch {
    /// Tables whose checkpoints advance, with their current checkpoints.
    pub from: Vec<(Table, Checkpoint)>,
    /// New checkpoint, the same for all tables.
    pub to: Checkpoint,
    /// Rows to write, by table; each row once.
    pub rows: Vec<(Table, Vec<Row>)>,
    /// Streams to park: those that could not be folded.
    pub parked: Vec<ParkedStream>,
    /// Parked streams whose events in the batch were skipped, with the name of the table. The batch is valid only if
    /// they are still parked.
    pub left_out: Vec<(String, StreamId)>,
    /// Whether the tables are being backfilled: they contain none of the rows, have no readers, and rows lost in a
    /// crash of the database can be written again.
    pub filling: bool,
}

/// A stream that a projection could not fold from a position on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedStream {
    /// Name of the table that lacks the stream.
    pub model: String,
    /// Stream id.
    pub stream_id: StreamId,
    /// Position of the first event that could not be folded.
    pub position: u64,
    /// Why the event could not be folded, without PHI.
    pub reason: String,
}

/// The result of retrying a parked stream: folding it again from its first event.
#[derive(Debug)]
pub struct ParkedRetry<'a> {
    /// The parked stream, as read before the retry.
    pub parked: &'a ParkedStream,
    /// Rows to write, by table; each row once.
    pub rows: Vec<(Table, Vec<Row>)>,
    /// How far the stream could be folded.
    pub end: RetryEnd,
}

/// How far a stream could be folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryEnd {
    /// The stream was folded completely.
    Complete {
        /// Version of its last event.
        version: u64,
    },
    /// An event could not be folded.
    Blocked {
        /// Position of the first event that could not be folded.
        position: u64,
        /// Why the event could not be folded, without PHI.
        reason: String,
    },
}

/// A query for a page of a read model.
#[derive(Debug)]
pub struct ListQuery {
    /// Read model to query.
    pub model: &'static ReadModel,
    /// Tenant whose rows are returned.
    pub tenant_id: TenantId,
    /// Index prefixes to scan. Each is a set of equalities on all columns of one index, or on `id` and any other
    /// columns. The page is the ordered union of their results; `[[]]` scans all rows of the tenant by the index
    /// without columns.
    pub prefixes: Vec<Vec<(&'static str, Value)>>,
    /// Additional conditions that every row must meet.
    pub filters: Vec<Filter>,
    /// Lower bound of `sort_key`, exclusive.
    pub after: Option<Vec<u8>>,
    /// Lower bound of `sort_key`, inclusive.
    pub from: Option<Vec<u8>>,
    /// Upper bound of `sort_key`, exclusive.
    pub before: Option<Vec<u8>>,
    /// Maximum number of rows.
    pub limit: u32,
}

impl ListQuery {
    /// Creates a query for all rows of the tenant, which callers narrow.
    pub fn all(
        model: &'static ReadModel,
        tenant_id: TenantId,
        after: Option<Vec<u8>>,
        limit: u32,
    ) -> Self {
        Self {
            model,
            tenant_id,
            prefixes: vec![Vec::new()],
            filters: Vec::new(),
            after,
            from: None,
            before: None,
            limit,
        }
    }
}

/// A condition on a filter column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// The column equals this value.
    Equals(&'static str, Value),
    /// The column's text contains this text literally.
    Contains(&'static str, String),
}
