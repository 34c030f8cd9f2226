//! Loads the rows that a batch changes, as they are before the batch, within a memory limit.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::batch::{ProjectedTable, Rows, Streams};
use super::{MultiRowProjection, ProjectionKind};
use crate::engine::ReadModelStore;
use crate::error::EngineError;
use crate::read_model::{Row, Table};
use crate::readers::Scope;

/// Source of existing rows. Rows of the previous batch take precedence, because it may not be written yet.
#[derive(Clone, Copy)]
pub(crate) struct RowSource<'a> {
    pub(crate) engine: &'a dyn ReadModelStore,
    pub(crate) unwritten: &'a Rows,
}

/// Maximum size of the rows that a batch changes in each table, in bytes. One small event may change a large row.
const ROWS_BYTES: usize = 16 * 1024 * 1024;
/// Number of rows per query if all rows together exceed the maximum size.
const HEAVY_AT_ONCE: usize = 8;

/// Needed rows by id, as many as may be loaded.
#[derive(Debug, Default)]
struct Found {
    rows: HashMap<Uuid, Row>,
    /// Position of the first event that needs a row that was not loaded.
    upto: Option<u64>,
}

/// Position of the first event that needs a row, and the row's id.
type RowDemand = (u64, Uuid);

impl RowSource<'_> {
    /// Loads the needed rows in the order in which they are needed: all of them, or only the first ones if they are too
    /// large together.
    async fn rows(self, table: Table, mut needs: Vec<RowDemand>) -> Result<Found, EngineError> {
        let mut wanted = HashSet::with_capacity(needs.len());
        needs.retain(|(_, id)| wanted.insert(*id));
        let mut rows = HashMap::with_capacity(needs.len());
        let of_table = self.unwritten.iter().filter(|(of, _)| *of == table);
        for row in of_table.flat_map(|(_, rows)| rows) {
            if wanted.remove(&row.id) {
                rows.insert(row.id, row.clone());
            }
        }
        needs.retain(|(_, id)| wanted.contains(id));
        let (loaded, bytes) = self.load(table, &needs, ROWS_BYTES).await?;
        if bytes <= ROWS_BYTES {
            rows.extend(loaded);
            return Ok(Found { rows, upto: None });
        }
        drop(loaded);
        let mut sum = 0;
        for few in needs.chunks(HEAVY_AT_ONCE) {
            if sum > ROWS_BYTES {
                let upto = few.first().map(|(position, _)| *position);
                return Ok(Found { rows, upto });
            }
            let (loaded, bytes) = self.load(table, few, usize::MAX).await?;
            rows.extend(loaded);
            sum += bytes;
        }
        Ok(Found { rows, upto: None })
    }

    /// Loads rows and returns their size in bytes, which exceeds `most_bytes` if not all rows were read.
    async fn load(
        self,
        table: Table,
        needs: &[RowDemand],
        most_bytes: usize,
    ) -> Result<(HashMap<Uuid, Row>, usize), EngineError> {
        if needs.is_empty() {
            return Ok(Default::default());
        }
        let ids: Vec<Uuid> = needs.iter().map(|(_, id)| *id).collect();
        let engine = self.engine;
        let rows = engine
            .read_rows(Scope::AllTenants, table, &ids, most_bytes)
            .await?;
        let bytes = rows.iter().map(Row::weight).sum();
        Ok((rows.into_iter().map(|row| (row.id, row)).collect(), bytes))
    }
}

/// Rows that a table already has of a batch's streams.
#[derive(Debug, Default)]
pub(super) struct ExistingRows {
    /// One row per stream: its only row, or its progress row.
    pub(super) rows: HashMap<Uuid, Row>,
    /// Rows that the events change, of streams with several rows.
    pub(super) changed: HashMap<Uuid, Row>,
    /// Position of the first event that needs a row that was not loaded.
    pub(super) upto: Option<u64>,
}

impl ExistingRows {
    pub(super) async fn load(
        known: RowSource<'_>,
        member: &ProjectedTable,
        streams: &Streams,
    ) -> Result<Self, EngineError> {
        let table = member.table;
        match member.projection.kind() {
            ProjectionKind::SingleRow(_) => {
                let found = existing_rows(known, table, streams).await?;
                Ok(Self {
                    rows: found.rows,
                    changed: HashMap::new(),
                    upto: found.upto,
                })
            }
            ProjectionKind::MultiRow(projection) => {
                let progress = progress_of(table, projection);
                let reached = existing_rows(known, progress, streams).await?;
                let changed = changed_rows(known, table, projection, streams).await?;
                Ok(Self {
                    rows: reached.rows,
                    changed: changed.rows,
                    upto: reached.upto.into_iter().chain(changed.upto).min(),
                })
            }
        }
    }
}

/// Returns the progress table of a table with several rows per stream.
pub(super) fn progress_of(table: Table, projection: &dyn MultiRowProjection) -> Table {
    Table {
        model: projection.progress_table(),
        ..table
    }
}

/// Loads the rows that the streams' events change.
async fn changed_rows(
    known: RowSource<'_>,
    table: Table,
    projection: &dyn MultiRowProjection,
    streams: &Streams,
) -> Result<Found, EngineError> {
    let needs = streams.iter().flat_map(|(_, events)| {
        let first = events.first().map_or(0, |event| event.position);
        let changes = projection.changed_rows(events).into_iter();
        changes.map(move |id| (first, id))
    });
    known.rows(table, needs.collect()).await
}

/// Loads the streams' rows. A stream that starts in this batch has none yet.
async fn existing_rows(
    known: RowSource<'_>,
    table: Table,
    streams: &Streams,
) -> Result<Found, EngineError> {
    let needs = streams.iter().filter_map(|(id, events)| {
        let first = events.first().filter(|event| event.version > 1)?;
        Some((first.position, id.as_uuid()))
    });
    known.rows(table, needs.collect()).await
}
