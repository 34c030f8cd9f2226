//! The smallest read model that shows whether all events were folded, once and in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use roentgen_store::chain::{hex, sha256};
use roentgen_store::engine::Engine;
use roentgen_store::generation::GenerationState;
use roentgen_store::lease::{Leadership, Leases};
use roentgen_store::log::{NewEvent, StoredEvent};
use roentgen_store::projection::{
    self, FoldResult, Projection, ProjectionKind, SingleRowProjection,
};
use roentgen_store::projector::{ProjectionProgress, Projector};
use roentgen_store::read_model::{Checkpoint, Column, ColumnKind, Index, ReadModel, Row, Value};
use roentgen_store::readers::Scope;
use roentgen_store::rebuild::RebuildService;
use uuid::Uuid;

use crate::builders::STREAM_TYPE;
use crate::harness::{ContractNode, wait_until};

pub(crate) static TALLY: ReadModel = SHAPE;

const SHAPE: ReadModel = ReadModel {
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

/// Projection that can fold unfoldable events up to and including version `forgives` of a stream, as a later release
/// would.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Schema.
    pub(crate) model: &'static ReadModel,
    pub(crate) forgives: u64,
    /// Whether a fold that continues from a row differs from a fold of all events.
    pub(crate) forgets: bool,
}

impl Tally {
    /// Projection that folds only foldable events.
    pub(crate) const SOUND: Self = Self {
        model: &TALLY,
        forgives: 0,
        forgets: false,
    };
}

/// Schema of the next release.
pub(crate) static NEXT_TALLY: ReadModel = ReadModel {
    version: 2,
    ..SHAPE
};

const UNFOLDABLE: &str = "Unfoldable";

/// Returns the event with a type that the projection cannot fold.
pub(crate) fn unfoldable(event: NewEvent) -> NewEvent {
    NewEvent {
        event_type: UNFOLDABLE,
        ..event
    }
}

impl Projection for Tally {
    fn model(&self) -> &'static ReadModel {
        self.model
    }

    fn stream_type(&self) -> &'static str {
        STREAM_TYPE
    }

    fn kind(&self) -> ProjectionKind<'_> {
        ProjectionKind::SingleRow(self)
    }
}

impl SingleRowProjection for Tally {
    fn fold(&self, mut row: Option<Row>, events: &[Arc<StoredEvent>]) -> FoldResult {
        if let Some(row) = row.as_mut().filter(|_| self.forgets) {
            row.document.clear();
        }
        for event in events {
            if *event.event_type == *UNFOLDABLE && event.version > self.forgives {
                let stuck = Some((event.position, "not of this world".to_owned()));
                return FoldResult { row, stuck };
            }
            row = Some(after(row, event));
        }
        FoldResult { row, stuck: None }
    }
}

/// Folds an event into a row. Each document digests the one before, so an event that is left out, folded twice or out
/// of order stays visible.
fn after(row: Option<Row>, event: &StoredEvent) -> Row {
    let before = row.map(|row| row.document).unwrap_or_default();
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

/// Returns the rows according to the log, folded event by event.
pub(crate) fn folded(log: &[StoredEvent]) -> BTreeMap<Uuid, Row> {
    let mut rows = BTreeMap::new();
    for event in log {
        let id = event.stream_id.as_uuid();
        let row = rows.remove(&id);
        rows.insert(id, after(row, event));
    }
    rows
}

/// Returns the stored rows of the streams in `log`.
pub(crate) async fn rows(engine: &dyn Engine, log: &[StoredEvent]) -> BTreeMap<Uuid, Row> {
    rows_of(engine, &TALLY, log).await
}

/// Returns the stored rows of the streams in `log`, for this schema.
pub(crate) async fn rows_of(
    engine: &dyn Engine,
    model: &'static ReadModel,
    log: &[StoredEvent],
) -> BTreeMap<Uuid, Row> {
    let mut ids: Vec<Uuid> = log.iter().map(|event| event.stream_id.as_uuid()).collect();
    ids.sort();
    ids.dedup();
    let rows = engine
        .live_rows(Scope::AllTenants, model, &ids)
        .await
        .unwrap();
    rows.into_iter().map(|row| (row.id, row)).collect()
}

/// Starts the node's projector, which leads while it holds the lease; `scope` separates it from those of other nodes.
pub(crate) async fn project(
    node: &ContractNode,
    scope: &'static str,
) -> (ProjectionProgress, Leadership) {
    let (_, progress, leadership) = project_as(node, scope, Tally::SOUND).await;
    (progress, leadership)
}

/// Starts the node's projector with this projection.
pub(crate) async fn project_as(
    node: &ContractNode,
    scope: &'static str,
    tally: Tally,
) -> (RebuildService, ProjectionProgress, Leadership) {
    let projections = vec![Arc::new(tally) as Arc<dyn Projection>];
    let engine = Arc::clone(&node.engine);
    let names = projection::leases(&projections);
    let leases = Leases::start(engine.clone(), scope, names, &node.tasks);
    let leadership = leases.leadership(&projections[0].model().schema_name());
    let rebuilding = RebuildService::new(Arc::clone(&engine), projections.clone());
    let tail = Arc::clone(&node.tail);
    let started = Projector::start(engine, tail, projections, leases, &node.tasks).await;
    (rebuilding, started.unwrap(), leadership)
}

/// Returns the checkpoint of the live generation.
pub(crate) async fn checkpoint(engine: &dyn Engine) -> Checkpoint {
    let generations = engine.generations().await.unwrap();
    let live = generations
        .iter()
        .find(|generation| generation.matches(&TALLY) && generation.state == GenerationState::Live);
    live.map_or(Checkpoint::START, |generation| generation.checkpoint)
}

/// Waits until the live generation has reached the head of the log.
pub(crate) async fn projected_all(node: &ContractNode) {
    let head = node.engine.head().await.unwrap();
    let there = Checkpoint {
        position: head.position,
        hash: head.hash,
    };
    let standing = async || checkpoint(&*node.engine).await;
    wait_until("the checkpoint", standing, |checkpoint| {
        *checkpoint == there
    })
    .await;
}
