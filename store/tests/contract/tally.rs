//! The smallest read model that shows whether events were folded once, all, and in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use roentgen_store::chain::{hex, sha256};
use roentgen_store::engine::Engine;
use roentgen_store::lease::Leadership;
use roentgen_store::log::{NewEvent, StoredEvent};
use roentgen_store::model::{Column, ColumnKind, Index, Model, Row, Value};
use roentgen_store::projector::{Folded, Folding, FoldsRow, Progress, Projection, Projector};
use uuid::Uuid;

use crate::bed::Node;
use crate::build::STREAM_TYPE;

pub(crate) static TALLY: Model = Model {
    name: "tally",
    version: 1,
    columns: &[Column {
        name: "last_type",
        kind: ColumnKind::Text,
    }],
    indexes: &[Index {
        columns: &["last_type"],
        sparse: false,
    }],
};

/// Folds events that cannot be folded all the same, up to and with this version of a stream: as a release does that has
/// learnt to.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) forgives: u64,
}

const UNFOLDABLE: &str = "Unfoldable";

/// The same event, of a kind that the projection cannot fold.
pub(crate) fn unfoldable(event: NewEvent) -> NewEvent {
    NewEvent {
        event_type: UNFOLDABLE,
        ..event
    }
}

impl Projection for Tally {
    fn model(&self) -> &'static Model {
        &TALLY
    }

    fn stream_type(&self) -> &'static str {
        STREAM_TYPE
    }

    fn folding(&self) -> Folding<'_> {
        Folding::Row(self)
    }
}

impl FoldsRow for Tally {
    fn fold(&self, mut row: Option<Row>, events: &[Arc<StoredEvent>]) -> Folded {
        for event in events {
            if *event.event_type == *UNFOLDABLE && event.version > self.forgives {
                let stuck = Some((event.position, "not of this world".to_owned()));
                return Folded { row, stuck };
            }
            row = Some(after(row, event));
        }
        Folded { row, stuck: None }
    }
}

/// Each document covers the one before, so that an event left out, folded twice or out of order is seen for ever.
fn after(row: Option<Row>, event: &StoredEvent) -> Row {
    let before = row.map(|it| it.document).unwrap_or_default();
    let digest = hex(&sha256(format!("{before}{}", event.payload).as_bytes()));
    Row {
        id: event.stream_id.as_uuid(),
        tenant_id: event.tenant_id,
        patient_id: None,
        version: event.version,
        sort_key: event.stream_id.as_uuid().as_bytes().to_vec(),
        values: vec![Value::Text(event.event_type.to_string())],
        document: format!("{{\"digest\": \"{digest}\"}}"),
        sealed: event.sealed.clone(),
    }
}

/// The rows as the log says, folded one event after the other.
pub(crate) fn folded(log: &[StoredEvent]) -> BTreeMap<Uuid, Row> {
    let mut rows = BTreeMap::new();
    for event in log {
        let id = event.stream_id.as_uuid();
        let row = rows.remove(&id);
        rows.insert(id, after(row, event));
    }
    rows
}

/// The rows as they stand, of the streams in `log`.
pub(crate) async fn rows(engine: &dyn Engine, log: &[StoredEvent]) -> BTreeMap<Uuid, Row> {
    let mut ids: Vec<Uuid> = log.iter().map(|it| it.stream_id.as_uuid()).collect();
    ids.sort();
    ids.dedup();
    let rows = engine.rows(&TALLY, &ids).await.unwrap();
    rows.into_iter().map(|it| (it.id, it)).collect()
}

/// Starts the node's projector, which leads while it holds the lease.
pub(crate) async fn project(node: &Node, lease: &'static str) -> (Progress, Leadership) {
    let engine = Arc::clone(&node.engine);
    let leadership = Leadership::seek(Arc::clone(&engine), lease, &node.tasks);
    let (tail, projections) = (
        Arc::clone(&node.tail),
        vec![Arc::new(Tally { forgives: 0 }) as Arc<dyn Projection>],
    );
    let started =
        Projector::start(engine, tail, projections, leadership.clone(), &node.tasks).await;
    (started.unwrap(), leadership)
}
