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

/// What rows that a batch goes on with may weigh together in each table, in bytes. One tiny event may change a heavy row.
const ROWS_BYTES: usize = 16 * 1024 * 1024;
/// Rows that are loaded at once where all of them are too heavy together.
const HEAVY_AT_ONCE: usize = 8;

/// Rows by id, as many as may be loaded of those that are needed.
#[derive(Debug, Default)]
struct Found {
    rows: HashMap<Uuid, Row>,
    /// The first event that needs a row which is not among them.
    upto: Option<u64>,
}

/// A row's id, and the position of the first event that needs it.
type Need = (u64, Uuid);

impl Known<'_> {
    /// The rows that are needed, in the order in which they are needed: all of them, or if they are too heavy together, the
    /// first ones.
    async fn rows(self, table: Table, mut needs: Vec<Need>) -> Result<Found, EngineError> {
        let mut wanted = HashSet::with_capacity(needs.len());
        needs.retain(|(_, id)| wanted.insert(*id));
        let mut rows = HashMap::with_capacity(needs.len());
        let of_table = self.unwritten.iter().filter(|it| it.0 == table);
        for row in of_table.flat_map(|it| &it.1) {
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

    /// Rows, and what they weigh: more than `most_bytes` if not all of them are there.
    async fn load(
        self,
        table: Table,
        needs: &[Need],
        most_bytes: usize,
    ) -> Result<(HashMap<Uuid, Row>, usize), EngineError> {
        if needs.is_empty() {
            return Ok(Default::default());
        }
        let ids: Vec<Uuid> = needs.iter().map(|(_, id)| *id).collect();
        let engine = self.engine;
        let rows = engine
            .rows_in(Scope::AllTenants, table, &ids, most_bytes)
            .await?;
        let bytes = rows.iter().map(Row::weight).sum();
        Ok((rows.into_iter().map(|row| (row.id, row)).collect(), bytes))
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

/// Loads the touched rows of each table in one query, and folds in memory as many of the events as have rows that are not
/// too heavy together: returns how many. A table that is ahead sees what it has not seen.
pub(super) async fn fold(
    known: Known<'_>,
    members: &[Member],
    parked: &HashSet<(String, StreamId)>,
    events: &[Arc<StoredEvent>],
) -> Result<(FoldedBatch, usize), EngineError> {
    let mut touched = Vec::with_capacity(members.len());
    for member in members {
        let streams = streams_of(member, parked, events).0;
        touched.push(Touched::load(known, member, &streams).await?);
    }
    let upto = touched.iter().filter_map(|it| it.upto).min();
    let count = upto.map_or(events.len(), |upto| {
        events.partition_point(|event| event.position < upto)
    });
    let events = events.get(..count).unwrap_or_default();
    let mut folded = FoldedBatch::default();
    for (member, touched) in members.iter().zip(touched) {
        let (streams, left_out) = streams_of(member, parked, events);
        folded.left_out.extend(left_out);
        if streams.is_empty() {
            continue;
        }
        match member.projection.folding() {
            Folding::Row(it) => folded.fold_row((member.table, it), touched, streams).await,
            Folding::Rows(it) => folded.fold_rows((member.table, it), touched, streams),
        }
    }
    Ok((folded, count))
}

/// A table's streams among the events, with what it has not seen of them; and those that are parked.
fn streams_of(
    member: &Member,
    parked: &HashSet<(String, StreamId)>,
    events: &[Arc<StoredEvent>],
) -> (Streams, Vec<(String, StreamId)>) {
    let seen = events.partition_point(|it| it.position <= member.checkpoint.position);
    let unseen = events.get(seen..).unwrap_or_default();
    let mut streams = by_stream(unseen, member.projection.stream_type());
    let name = member.table.name();
    let left_out = streams.extract_if(.., |(id, _)| parked.contains(&(name.clone(), *id)));
    let left_out = left_out.map(|(id, _)| (name.clone(), id)).collect();
    (streams, left_out)
}

/// What a table has of the streams that a batch goes on with.
#[derive(Debug, Default)]
struct Touched {
    /// A row of each stream: the resource's, or how far it is folded.
    rows: HashMap<Uuid, Row>,
    /// The rows that the events change, of a stream that has many.
    changed: HashMap<Uuid, Row>,
    /// The first event that needs a row which was not loaded.
    upto: Option<u64>,
}

impl Touched {
    async fn load(
        known: Known<'_>,
        member: &Member,
        streams: &Streams,
    ) -> Result<Self, EngineError> {
        let table = member.table;
        match member.projection.folding() {
            Folding::Row(_) => {
                let found = known_rows(known, table, streams).await?;
                Ok(Self {
                    rows: found.rows,
                    changed: HashMap::new(),
                    upto: found.upto,
                })
            }
            Folding::Rows(projection) => {
                let progress = progress_of(table, projection);
                let reached = known_rows(known, progress, streams).await?;
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

/// Where it stands how far the streams of a table are folded that has many rows of each.
fn progress_of(table: Table, projection: &dyn FoldsRows) -> Table {
    Table {
        model: projection.progress(),
        ..table
    }
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
        (table, projection): (Table, &dyn FoldsRow),
        mut touched: Touched,
        streams: Streams,
    ) {
        let mut rows = Vec::with_capacity(streams.len());
        for (n, (stream_id, events)) in (1..).zip(streams) {
            if n % IN_ONE_GO == 0 {
                tokio::task::yield_now().await;
            }
            let row = touched.rows.remove(&stream_id.as_uuid());
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
    }

    /// As with one row a stream, but that the row that says how far a stream is folded lies in a table beside.
    fn fold_rows(
        &mut self,
        (table, projection): (Table, &dyn FoldsRows),
        touched: Touched,
        streams: Streams,
    ) {
        let (reached, mut changed) = (touched.rows, touched.changed);
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
        self.rows.push((progress_of(table, projection), moved));
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

/// The rows that the streams' events change.
async fn changed_rows(
    known: Known<'_>,
    table: Table,
    projection: &dyn FoldsRows,
    streams: &Streams,
) -> Result<Found, EngineError> {
    let needs = streams.iter().flat_map(|(_, events)| {
        let first = events.first().map_or(0, |event| event.position);
        let changes = projection.changes(events).into_iter();
        changes.map(move |id| (first, id))
    });
    known.rows(table, needs.collect()).await
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

/// The streams' own rows. A stream that begins in this batch has none yet.
async fn known_rows(
    known: Known<'_>,
    table: Table,
    streams: &Streams,
) -> Result<Found, EngineError> {
    let needs = streams.iter().filter_map(|(id, events)| {
        let first = events.first().filter(|event| event.version > 1)?;
        Some((first.position, id.as_uuid()))
    });
    known.rows(table, needs.collect()).await
}
