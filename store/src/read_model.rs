//! Read models at rest: tables of documents with filter columns and one order-preserving sort key.
//!
//! A row folds from exactly one stream, so that `document == render(fold(stream))` can be tested and a parked stream
//! can be replayed. PHI stays sealed: a row carries the sealed parts of its stream's events, byte for byte. A shape may
//! be filled more than once: see [`crate::generation`].

use roentgen_domain::ids::{PatientId, StreamId, TenantId};
use uuid::Uuid;

use crate::chain::{Digest, GENESIS};
use crate::engine::MAX_PAGE_BYTES;

/// A read model's shape: the fixed columns of [`Row`] and its own filter columns.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadModel {
    /// The model's name; lower-case letters and `_`.
    pub name: &'static str,
    /// The shape's version; a new shape, or another fold into it, is a new table.
    pub version: u32,
    /// The filter columns.
    pub columns: &'static [Column],
    /// Secondary indexes: `(tenant_id, columns..., sort_key)`.
    pub indexes: &'static [Index],
}

/// A filter column, nullable.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name; lower-case letters and `_`.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
}

/// What a filter column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// A UUID.
    Uuid,
    /// Text.
    Text,
    /// A truth value.
    Bool,
}

/// A secondary index over `(tenant_id, columns..., sort_key)`.
#[derive(Debug, PartialEq, Eq)]
pub struct Index {
    /// The filter columns it leads with; may be none.
    pub columns: &'static [&'static str],
    /// Leaves rows out where its first column is null.
    pub sparse: bool,
}

impl ReadModel {
    /// The shape's name: `<name>_v<version>`.
    pub fn schema_name(&self) -> String {
        format!("{}_v{}", self.name, self.version)
    }

    /// The place of the index whose columns are those of the prefix, in whatever order. `None` for a prefix that names
    /// a row by its `id`; any other prefix has to have one.
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

/// A table: one generation of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// The shape.
    pub model: &'static ReadModel,
    /// Which filling of it, from 1.
    pub generation: u32,
}

impl Table {
    /// Its name: the shape's, and from the second generation on `<shape>_g<generation>`.
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
    /// Nothing.
    Null,
    /// A UUID.
    Uuid(Uuid),
    /// Text.
    Text(String),
    /// A truth value.
    Bool(bool),
}

impl Value {
    /// A UUID, or nothing.
    pub fn uuid(id: Option<Uuid>) -> Self {
        id.map_or(Self::Null, Self::Uuid)
    }

    /// Text, or nothing.
    pub fn text(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Null, |into| Self::Text(into.into()))
    }
}

/// One row of a read model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The aggregate's id, which is its stream's.
    pub id: Uuid,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The patient under whose key `sealed` is.
    pub patient_id: Option<PatientId>,
    /// How far the stream is folded into the row.
    pub version: u64,
    /// Orders the list; unique, ends with the id.
    pub sort_key: Vec<u8>,
    /// The filter columns, in the model's order.
    pub values: Vec<Value>,
    /// The resource's open members as JSON.
    pub document: String,
    /// The sealed parts of the stream's events that still show (see [`crate::keys::SealedPhi`]).
    pub sealed: Vec<u8>,
}

impl Row {
    /// Roughly what it weighs in memory, in bytes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.document.len() + self.sealed.len()
    }
}

/// Where rows that are read at once end: with the one that makes them heavier than they may be together.
#[derive(Debug)]
pub(crate) struct RowBatchLimit {
    least: usize,
    most_bytes: usize,
    rows: usize,
    bytes: usize,
}

impl RowBatchLimit {
    /// Of so many rows at least, however heavy.
    pub(crate) const fn new(least: usize, most_bytes: usize) -> Self {
        Self {
            least,
            most_bytes,
            rows: 0,
            bytes: 0,
        }
    }

    /// Of a list: a row of a page, and the one behind it that says that there is another page.
    pub(crate) const fn of_list() -> Self {
        Self::new(2, MAX_PAGE_BYTES)
    }

    /// Whether it ends with this row.
    pub(crate) fn ends_with(&mut self, row: &Row) -> bool {
        self.rows += 1;
        self.bytes = self.bytes.saturating_add(row.weight());
        self.rows >= self.least && self.bytes > self.most_bytes
    }
}

/// How far a projection is: the position, and the link that stood there, so that a log that was restored to an earlier
/// point is refused by name and not skipped over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last event it has seen.
    pub position: u64,
    /// That event's link.
    pub hash: Digest,
}

impl Checkpoint {
    /// Before the first event.
    pub const START: Self = Self {
        position: 0,
        hash: GENESIS,
    };
}

/// What one batch of events makes of the read models.
#[derive(Debug)]
pub struct ProjectionBatch {
    /// The tables whose checkpoint moves, and where each stands.
    pub from: Vec<(Table, Checkpoint)>,
    /// The checkpoint it leaves, the same for all.
    pub to: Checkpoint,
    /// The rows to write, by table; each row once.
    pub rows: Vec<(Table, Vec<Row>)>,
    /// Streams that could not be folded.
    pub parked: Vec<ParkedStream>,
    /// Streams with events in the batch that were left out, since they are parked: by table. The batch is good only
    /// where they still are.
    pub left_out: Vec<(String, StreamId)>,
    /// Whether the tables are filled: none of the rows is there, nobody reads them, and what a crash of the database
    /// takes back can be written again.
    pub filling: bool,
}

/// A stream that a projection could not fold, from a position on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedStream {
    /// The table it is missing from.
    pub model: String,
    /// The stream.
    pub stream_id: StreamId,
    /// The first event that could not be folded.
    pub position: u64,
    /// Why; without PHI.
    pub reason: String,
}

/// A parked stream, folded again from its first event.
#[derive(Debug)]
pub struct ParkedRetry<'a> {
    /// What was parked, as it was found.
    pub parked: &'a ParkedStream,
    /// The rows to write, by table; each row once.
    pub rows: Vec<(Table, Vec<Row>)>,
    /// How far that went.
    pub end: RetryEnd,
}

/// How far a stream could be folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryEnd {
    /// To its end, which was this version.
    Complete {
        /// The last event's.
        version: u64,
    },
    /// Not to its end.
    Blocked {
        /// The first event that could not be folded.
        position: u64,
        /// Why; without PHI.
        reason: String,
    },
}

/// A page of a read model.
#[derive(Debug)]
pub struct ListQuery {
    /// Which.
    pub model: &'static ReadModel,
    /// Whose.
    pub tenant_id: TenantId,
    /// The index prefixes to walk: each a set of equalities on all columns of one index, or on `id` and any others. The
    /// page is the ordered union of what they give; `[[]]` walks the whole tenant by the index without columns.
    pub prefixes: Vec<Vec<(&'static str, Value)>>,
    /// What every row must pass besides.
    pub filters: Vec<Filter>,
    /// `sort_key` after this.
    pub after: Option<Vec<u8>>,
    /// `sort_key` not before this.
    pub from: Option<Vec<u8>>,
    /// `sort_key` before this.
    pub before: Option<Vec<u8>>,
    /// How many rows, at the most.
    pub limit: u32,
}

impl ListQuery {
    /// A page of all that the tenant has, to be narrowed.
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

/// One condition on a filter column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// The column has this value.
    Equals(&'static str, Value),
    /// The column's text holds this one, as it is.
    Contains(&'static str, String),
}
