//! One batch: which rows it touches, and what becomes of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use roentgen_domain::ids::StreamId;
use uuid::Uuid;

use super::{Folded, Projection};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::log::StoredEvent;
use crate::model::{Model, Parked, Row};

/// Rows to write and streams to park.
pub(super) struct FoldedBatch {
    pub(super) rows: Vec<(&'static Model, Vec<Row>)>,
    pub(super) parked: Vec<Parked>,
}

/// One stream's events in a batch, in order.
type Streams = Vec<(StreamId, Vec<Arc<StoredEvent>>)>;

/// Loads the touched rows of each model in one query, and folds in memory.
pub(super) async fn fold(
    engine: &dyn Engine,
    projections: &[Arc<dyn Projection>],
    parked: &HashSet<(String, StreamId)>,
    events: &[Arc<StoredEvent>],
) -> Result<FoldedBatch, EngineError> {
    let mut folded = FoldedBatch {
        rows: Vec::new(),
        parked: Vec::new(),
    };
    for projection in projections {
        let model = projection.model();
        let mut streams = by_stream(events, projection.stream_type());
        let table = model.table();
        streams.retain(|(id, _)| !parked.contains(&(table.clone(), *id)));
        if streams.is_empty() {
            continue;
        }
        let mut known = known_rows(engine, model, &streams).await?;
        let mut rows = Vec::with_capacity(streams.len());
        for (stream_id, events) in streams {
            let row = known.remove(&stream_id.as_uuid());
            let Folded { row, stuck } = fold_stream(&**projection, row, &events);
            rows.extend(row);
            folded.parked.extend(stuck.map(|(position, reason)| Parked {
                model: table.clone(),
                stream_id,
                position,
                reason,
            }));
        }
        folded.rows.push((model, rows));
    }
    Ok(folded)
}

/// Events that the row has seen already are left out; a gap before the first is one event too many to fold.
fn fold_stream(
    projection: &dyn Projection,
    row: Option<Row>,
    events: &[Arc<StoredEvent>],
) -> Folded {
    let seen = row.as_ref().map_or(0, |it| it.version);
    let new = events
        .iter()
        .position(|it| it.version > seen)
        .unwrap_or(events.len());
    let events = events.get(new..).unwrap_or_default();
    match events.first() {
        None => Folded { row, stuck: None },
        Some(first) if first.version != seen + 1 => {
            let reason = format!("version {} follows on {seen}", first.version);
            Folded {
                row,
                stuck: Some((first.position, reason)),
            }
        }
        Some(_) => projection.fold(row, events),
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
    engine: &dyn Engine,
    model: &Model,
    streams: &Streams,
) -> Result<HashMap<Uuid, Row>, EngineError> {
    let begun_before =
        |events: &Vec<Arc<StoredEvent>>| events.first().is_some_and(|it| it.version > 1);
    let ids: Vec<Uuid> = streams
        .iter()
        .filter(|(_, events)| begun_before(events))
        .map(|(id, _)| id.as_uuid())
        .collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = engine.rows(model, &ids).await?;
    Ok(rows.into_iter().map(|it| (it.id, it)).collect())
}
