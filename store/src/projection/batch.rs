//! Folds one batch of events into the rows of read models.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use roentgen_domain::ids::StreamId;

use super::existing_rows::{ExistingRows, RowSource, progress_of};
use super::stream_fold::StreamFold;
use super::{FoldResult, MultiRowProjection, Projection, ProjectionKind, SingleRowProjection};
use crate::error::EngineError;
use crate::log::StoredEvent;
use crate::read_model::{Checkpoint, ParkedStream, ProjectionBatch, Row, Table};

/// Rows to write, streams to park, and parked streams that were left out.
#[derive(Default)]
pub(crate) struct FoldedBatch {
    pub(crate) rows: Vec<(Table, Vec<Row>)>,
    pub(crate) parked: Vec<ParkedStream>,
    pub(crate) left_out: Vec<(String, StreamId)>,
}

impl FoldedBatch {
    /// Builds the batch that advances the tables behind `to`, and sets their checkpoints in `members` to `to`.
    pub(crate) fn into_projection_batch(
        self,
        members: &mut [ProjectedTable],
        to: Checkpoint,
    ) -> ProjectionBatch {
        let mut from = Vec::with_capacity(members.len());
        for table in members {
            if table.checkpoint.position < to.position {
                from.push((table.table, table.checkpoint));
                table.checkpoint = to;
            }
        }
        ProjectionBatch {
            from,
            to,
            rows: self.rows,
            parked: self.parked,
            left_out: self.left_out,
            filling: false,
        }
    }
}

/// Rows grouped by table.
pub(crate) type Rows = [(Table, Vec<Row>)];

/// Table that this node projects, with its checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct ProjectedTable {
    pub(crate) projection: Arc<dyn Projection>,
    pub(crate) table: Table,
    pub(crate) checkpoint: Checkpoint,
}

/// Returns the lowest checkpoint of the tables.
pub(crate) fn min_checkpoint(members: &[ProjectedTable]) -> Checkpoint {
    let checkpoints = members.iter().map(|table| table.checkpoint);
    let lowest = checkpoints.min_by_key(|checkpoint| checkpoint.position);
    lowest.unwrap_or(Checkpoint::START)
}

/// Number of streams folded between two yields to other tasks.
const STREAMS_PER_YIELD: usize = 32;

/// Events grouped by stream, each stream's in order.
pub(crate) type Streams = Vec<(StreamId, Vec<Arc<StoredEvent>>)>;

/// Splits off the events beyond `bytes` bytes of payload and sealed data. The first event always stays.
pub(crate) fn split_off_excess(
    events: &mut Vec<Arc<StoredEvent>>,
    bytes: usize,
) -> Vec<Arc<StoredEvent>> {
    let mut sum = 0;
    let fit = events.iter().take_while(|event| {
        let first = sum == 0;
        sum += event.payload.len() + event.sealed.len();
        first || sum <= bytes
    });
    let fit = fit.count();
    events.split_off(fit)
}

/// Loads the touched rows of each table in one query and folds the events in memory. If the rows are too large
/// together, folds only the first events. Returns the number of events folded. A table with a later checkpoint skips
/// the events that it has already applied.
pub(crate) async fn fold(
    known: RowSource<'_>,
    members: &[ProjectedTable],
    parked: &HashSet<(String, StreamId)>,
    events: &[Arc<StoredEvent>],
) -> Result<(FoldedBatch, usize), EngineError> {
    let mut touched = Vec::with_capacity(members.len());
    for member in members {
        let streams = streams_of(member, parked, events).0;
        touched.push(ExistingRows::load(known, member, &streams).await?);
    }
    let upto = touched.iter().filter_map(|touched| touched.upto).min();
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
        match member.projection.kind() {
            ProjectionKind::SingleRow(projection) => {
                folded
                    .fold_row((member.table, projection), touched, streams)
                    .await
            }
            ProjectionKind::MultiRow(projection) => {
                folded.fold_rows((member.table, projection), touched, streams)
            }
        }
    }
    Ok((folded, count))
}

/// Returns the table's streams with their events after the table's checkpoint, and the parked streams left out.
fn streams_of(
    member: &ProjectedTable,
    parked: &HashSet<(String, StreamId)>,
    events: &[Arc<StoredEvent>],
) -> (Streams, Vec<(String, StreamId)>) {
    let seen = events.partition_point(|event| event.position <= member.checkpoint.position);
    let unseen = events.get(seen..).unwrap_or_default();
    let mut streams = by_stream(unseen, member.projection.stream_type());
    let name = member.table.name();
    let left_out = streams.extract_if(.., |(id, _)| parked.contains(&(name.clone(), *id)));
    let left_out = left_out.map(|(id, _)| (name.clone(), id)).collect();
    (streams, left_out)
}

/// Number of passes in which a whole stream is folded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FoldMode {
    Whole,
    /// Two passes, as a projector rarely sees a stream in one pass: continuing a row must give the same result as
    /// folding all its events.
    Split,
}

impl FoldMode {
    fn chunks(self, events: &[Arc<StoredEvent>]) -> impl Iterator<Item = &[Arc<StoredEvent>]> {
        let (first, rest) = match self {
            Self::Whole => (events, Default::default()),
            Self::Split => events.split_at(events.len() / 2),
        };
        [first, rest].into_iter().filter(|arcs| !arcs.is_empty())
    }
}

/// Folds streams from their first events into tables that have no rows of them.
pub(crate) async fn fold_whole(
    projection: &dyn Projection,
    table: Table,
    streams: Streams,
    goes: FoldMode,
) -> FoldedBatch {
    let mut folded = FoldedBatch::default();
    let tables = projection.tables(table.generation);
    folded
        .rows
        .extend(tables.into_iter().map(|table| (table, Vec::new())));
    for (n, (stream_id, events)) in (1..).zip(streams) {
        if n % STREAMS_PER_YIELD == 0 {
            tokio::task::yield_now().await;
        }
        let mut refolded = StreamFold::new(projection, table);
        let stuck = goes.chunks(&events).find_map(|goes| refolded.apply(goes));
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
        (table, projection): (Table, &dyn SingleRowProjection),
        mut touched: ExistingRows,
        streams: Streams,
    ) {
        let mut rows = Vec::with_capacity(streams.len());
        for (n, (stream_id, events)) in (1..).zip(streams) {
            if n % STREAMS_PER_YIELD == 0 {
                tokio::task::yield_now().await;
            }
            let row = touched.rows.remove(&stream_id.as_uuid());
            let FoldResult { row, stuck } = match skip_folded(row.as_ref(), &events) {
                Ok([]) => FoldResult { row, stuck: None },
                Ok(events) => projection.fold(row, events),
                Err(stuck) => FoldResult {
                    row,
                    stuck: Some(stuck),
                },
            };
            rows.extend(row);
            self.park(table, stream_id, stuck);
        }
        self.rows.push((table, rows));
    }

    /// Folds streams of several rows each. Works like `fold_row`, but the progress row is in a separate table.
    fn fold_rows(
        &mut self,
        (table, projection): (Table, &dyn MultiRowProjection),
        touched: ExistingRows,
        streams: Streams,
    ) {
        let reached = touched.rows;
        let mut changed = touched.changed;
        let mut rows = Vec::new();
        let mut moved = Vec::with_capacity(streams.len());
        for (stream_id, events) in streams {
            let events = match skip_folded(reached.get(&stream_id.as_uuid()), &events) {
                Ok([]) => continue,
                Ok(events) => events,
                Err(stuck) => {
                    self.park(table, stream_id, Some(stuck));
                    continue;
                }
            };
            let touched = projection.changed_rows(events).into_iter();
            let touched = touched.filter_map(|id| Some((id, changed.remove(&id)?)));
            let folded = projection.fold(touched.collect(), events);
            rows.extend(folded.rows);
            moved.extend(folded.folded.map(|event| progress_row(&event)));
            self.park(table, stream_id, folded.stuck);
        }
        self.rows.push((table, rows));
        self.rows.push((progress_of(table, projection), moved));
    }

    fn park(&mut self, table: Table, stream_id: StreamId, stuck: Option<(u64, String)>) {
        self.parked
            .extend(stuck.map(|(position, reason)| ParkedStream {
                model: table.name(),
                stream_id,
                position,
                reason,
            }));
    }
}

/// Skips events that the row has already applied. A version gap before the first new event is an error.
fn skip_folded<'a>(
    row: Option<&Row>,
    events: &'a [Arc<StoredEvent>],
) -> Result<&'a [Arc<StoredEvent>], (u64, String)> {
    let seen = row.map_or(0, |row| row.version);
    let new = events
        .iter()
        .position(|event| event.version > seen)
        .unwrap_or(events.len());
    let events = events.get(new..).unwrap_or_default();
    match events.first() {
        Some(first) if first.version != seen + 1 => {
            let reason = format!("expected the version after {seen}, found {}", first.version);
            Err((first.position, reason))
        }
        Some(_) | None => Ok(events),
    }
}

/// Returns the row that stores how far a stream is folded.
pub(crate) fn progress_row(last: &StoredEvent) -> Row {
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
    for event in events
        .iter()
        .filter(|event| *event.stream_type == *stream_type)
    {
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
