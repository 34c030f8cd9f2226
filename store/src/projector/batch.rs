//! One batch: which rows it touches, and what becomes of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use roentgen_domain::ids::StreamId;
use uuid::Uuid;

use super::refold::Refolded;
use super::{Folded, Folding, FoldsRow, FoldsRows, Projection};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::log::StoredEvent;
use crate::model::{Checkpoint, Parked, Row, Table};
use crate::reads::Scope;

/// Rows to write, streams to park, and those that are parked.
#[derive(Default)]
pub(super) struct FoldedBatch {
    pub(super) rows: Vec<(Table, Vec<Row>)>,
    pub(super) parked: Vec<Parked>,
    pub(super) left_out: Vec<(String, StreamId)>,
}

/// Rows by their table.
pub(super) type Rows = [(Table, Vec<Row>)];

/// A table that is projected.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) projection: Arc<dyn Projection>,
    pub(super) table: Table,
    pub(super) checkpoint: Checkpoint,
}

/// Where rows are looked up: the batch before this one may not be written yet, and has the last word.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) unwritten: &'a Rows,
}

impl Known<'_> {
    async fn rows(
        self,
        table: Table,
        mut ids: Vec<Uuid>,
    ) -> Result<HashMap<Uuid, Row>, EngineError> {
        let mut found = HashMap::with_capacity(ids.len());
        if ids.is_empty() {
            return Ok(found);
        }
        ids.sort_unstable();
        ids.dedup();
        let of_table = self.unwritten.iter().filter(|it| it.0 == table);
        for row in of_table.flat_map(|it| &it.1) {
            if let Ok(place) = ids.binary_search(&row.id) {
                ids.remove(place);
                found.insert(row.id, row.clone());
            }
        }
        if !ids.is_empty() {
            let rows = self.engine.rows_in(Scope::AllTenants, table, &ids).await?;
            found.extend(rows.into_iter().map(|it| (it.id, it)));
        }
        Ok(found)
    }
}

/// Streams that are folded in one go before whoever else is on this task has a turn.
const IN_ONE_GO: usize = 32;

/// Each stream's events, in order.
pub(super) type Streams = Vec<(StreamId, Vec<Arc<StoredEvent>>)>;

/// Takes what is beyond so many bytes of payload and sealed parts out of the events; the first of them stays in any case.
pub(super) fn beyond(events: &mut Vec<Arc<StoredEvent>>, bytes: usize) -> Vec<Arc<StoredEvent>> {
    let mut sum = 0;
    let fit = events.iter().take_while(|it| {
        let first = sum == 0;
        sum += it.payload.len() + it.sealed.len();
        first || sum <= bytes
    });
    let fit = fit.count();
    events.split_off(fit)
}

/// Loads the touched rows of each table in one query, and folds in memory. A table that is ahead sees what it has not
/// seen.
pub(super) async fn fold(
    known: Known<'_>,
    members: &[Member],
    parked: &HashSet<(String, StreamId)>,
    events: &[Arc<StoredEvent>],
) -> Result<FoldedBatch, EngineError> {
    let mut folded = FoldedBatch::default();
    for member in members {
        let (projection, table) = (&member.projection, member.table);
        let seen = events.partition_point(|it| it.position <= member.checkpoint.position);
        let unseen = events.get(seen..).unwrap_or_default();
        let mut streams = by_stream(unseen, projection.stream_type());
        let name = table.name();
        let left_out = streams.extract_if(.., |(id, _)| parked.contains(&(name.clone(), *id)));
        let left_out = left_out.map(|(id, _)| (name.clone(), id));
        folded.left_out.extend(left_out);
        if streams.is_empty() {
            continue;
        }
        match projection.folding() {
            Folding::Row(it) => folded.fold_row(known, (table, it), streams).await?,
            Folding::Rows(it) => folded.fold_rows(known, (table, it), streams).await?,
        }
    }
    Ok(folded)
}

/// In how many goes a whole stream is folded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goes {
    One,
    /// As a projector sees a stream, which seldom comes at one go: a row has to be gone on with as if from the events that
    /// made it.
    Two,
}

impl Goes {
    fn of(self, events: &[Arc<StoredEvent>]) -> impl Iterator<Item = &[Arc<StoredEvent>]> {
        let (first, rest) = match self {
            Self::One => (events, Default::default()),
            Self::Two => events.split_at(events.len() / 2),
        };
        [first, rest].into_iter().filter(|it| !it.is_empty())
    }
}

/// Folds streams from their first events into tables that have nothing of them.
pub(super) async fn fold_whole(
    projection: &dyn Projection,
    table: Table,
    streams: Streams,
    goes: Goes,
) -> FoldedBatch {
    let mut folded = FoldedBatch::default();
    let tables = projection.tables(table.generation);
    folded
        .rows
        .extend(tables.into_iter().map(|it| (it, Vec::new())));
    for (n, (stream_id, events)) in (1..).zip(streams) {
        if n % IN_ONE_GO == 0 {
            tokio::task::yield_now().await;
        }
        let mut refolded = Refolded::new(projection, table);
        let stuck = goes.of(&events).find_map(|it| refolded.go_on(it));
        for ((_, all), (_, rows)) in folded.rows.iter_mut().zip(refolded.into_rows()) {
            all.extend(rows);
        }
        folded.park(table, stream_id, stuck);
    }
    folded
}

impl FoldedBatch {
    async fn fold_row(
        &mut self,
        known: Known<'_>,
        (table, projection): (Table, &dyn FoldsRow),
        streams: Streams,
    ) -> Result<(), EngineError> {
        let mut known = known_rows(known, table, &streams).await?;
        let mut rows = Vec::with_capacity(streams.len());
        for (n, (stream_id, events)) in (1..).zip(streams) {
            if n % IN_ONE_GO == 0 {
                tokio::task::yield_now().await;
            }
            let row = known.remove(&stream_id.as_uuid());
            let Folded { row, stuck } = match unseen(row.as_ref(), &events) {
                Ok([]) => Folded { row, stuck: None },
                Ok(events) => projection.fold(row, events),
                Err(stuck) => Folded {
                    row,
                    stuck: Some(stuck),
                },
            };
            rows.extend(row);
            self.park(table, stream_id, stuck);
        }
        self.rows.push((table, rows));
        Ok(())
    }

    /// As with one row a stream, but that the row that says how far a stream is folded lies in a table beside.
    async fn fold_rows(
        &mut self,
        known: Known<'_>,
        (table, projection): (Table, &dyn FoldsRows),
        streams: Streams,
    ) -> Result<(), EngineError> {
        let progress = Table {
            model: projection.progress(),
            ..table
        };
        let reached = known_rows(known, progress, &streams).await?;
        let mut changed = changed_rows(known, table, projection, &streams).await?;
        let (mut rows, mut moved) = (Vec::new(), Vec::with_capacity(streams.len()));
        for (stream_id, events) in streams {
            let events = match unseen(reached.get(&stream_id.as_uuid()), &events) {
                Ok([]) => continue,
                Ok(events) => events,
                Err(stuck) => {
                    self.park(table, stream_id, Some(stuck));
                    continue;
                }
            };
            let touched = projection.changes(events).into_iter();
            let touched = touched.filter_map(|id| Some((id, changed.remove(&id)?)));
            let folded = projection.fold(touched.collect(), events);
            rows.extend(folded.rows);
            moved.extend(folded.folded.map(|it| progress_row(&it)));
            self.park(table, stream_id, folded.stuck);
        }
        self.rows.push((table, rows));
        self.rows.push((progress, moved));
        Ok(())
    }

    fn park(&mut self, table: Table, stream_id: StreamId, stuck: Option<(u64, String)>) {
        self.parked.extend(stuck.map(|(position, reason)| Parked {
            model: table.name(),
            stream_id,
            position,
            reason,
        }));
    }
}

/// Events that the row has seen already are left out; a gap before the first is one event too many to fold.
fn unseen<'a>(
    row: Option<&Row>,
    events: &'a [Arc<StoredEvent>],
) -> Result<&'a [Arc<StoredEvent>], (u64, String)> {
    let seen = row.map_or(0, |it| it.version);
    let new = events
        .iter()
        .position(|it| it.version > seen)
        .unwrap_or(events.len());
    let events = events.get(new..).unwrap_or_default();
    match events.first() {
        Some(first) if first.version != seen + 1 => {
            let reason = format!("version {} follows on {seen}", first.version);
            Err((first.position, reason))
        }
        Some(_) | None => Ok(events),
    }
}

/// The rows that the streams' events change, of all streams in one query.
async fn changed_rows(
    known: Known<'_>,
    table: Table,
    projection: &dyn FoldsRows,
    streams: &Streams,
) -> Result<HashMap<Uuid, Row>, EngineError> {
    let ids = streams.iter().flat_map(|(_, it)| projection.changes(it));
    known.rows(table, ids.collect()).await
}

/// How far a stream is folded.
pub(super) fn progress_row(last: &StoredEvent) -> Row {
    let id = last.stream_id.as_uuid();
    Row {
        id,
        tenant_id: last.tenant_id,
        patient_id: None,
        version: last.version,
        sort_key: id.as_bytes().to_vec(),
        values: Vec::new(),
        document: "{}".to_owned(),
        sealed: Vec::new(),
    }
}

fn by_stream(events: &[Arc<StoredEvent>], stream_type: &str) -> Streams {
    let mut places: HashMap<StreamId, usize> = HashMap::new();
    let mut streams: Streams = Vec::new();
    for event in events.iter().filter(|it| *it.stream_type == *stream_type) {
        let place = *places.entry(event.stream_id).or_insert_with(|| {
            streams.push((event.stream_id, Vec::new()));
            streams.len() - 1
        });
        if let Some((_, events)) = streams.get_mut(place) {
            events.push(Arc::clone(event));
        }
    }
    streams
}

/// A stream that begins in this batch has no row yet.
async fn known_rows(
    known: Known<'_>,
    table: Table,
    streams: &Streams,
) -> Result<HashMap<Uuid, Row>, EngineError> {
    let begun_before =
        |events: &Vec<Arc<StoredEvent>>| events.first().is_some_and(|it| it.version > 1);
    let ids = streams
        .iter()
        .filter(|(_, events)| begun_before(events))
        .map(|(id, _)| id.as_uuid());
    known.rows(table, ids.collect()).await
}
