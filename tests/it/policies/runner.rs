//! The policy runner: in order, once, past permanent failures, and past unreadable events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use roentgen_commands::policies::{
    self, Cause, Effect, POLICIES, Policy, PolicyMemory, PolicySettings,
};
use roentgen_commands::{CommandError, UnitOfWork, UseCase};
use roentgen_domain::Versioned;
use roentgen_domain::ids::{OrderId, StreamId, TenantId, WorklistItemId};
use roentgen_domain::order::{Command, Order, Status as OrderStatus, Update};
use roentgen_domain::worklist_item::Status;
use roentgen_store::error::EventReadError;
use roentgen_store::fair::ShareOwner;
use roentgen_store::log::{Append, ExpectedVersion, NewEvent};
use roentgen_store::policy_memory::MemoryBatch;
use roentgen_store::read_model::Checkpoint;
use roentgen_tests::{EngineKind, TestDatabase};
use serde_json::json;
use tokio::time::Instant;

use super::fixtures::TestStudy;
use super::{AN_HOUR, TestNode, WAIT_TIMEOUT};
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    a_log_read_again_from_its_beginning_repeats_nothing,
    what_cannot_be_read_is_recorded_and_passed,
    what_is_refused_is_recorded_and_passed,
    two_nodes_that_both_believe_to_lead_double_nothing,
    what_passes_by_itself_is_tried_until_it_is_done,
);

pub(super) fn every_policy() -> Vec<Arc<dyn Policy>> {
    policies::all(PolicySettings {
        claim_timeout: AN_HOUR,
    })
}

/// The policy memory was lost: the checkpoint is back at the start.
async fn a_log_read_again_from_its_beginning_repeats_nothing(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    node.model("TRIAGE", json!({})).await?;
    let images = TestStudy::accessioned();
    let anna = fresh().into();
    let study = node.synced(&images).await?;
    node.ordered(&images, json!({ "priority": "stat" })).await?;
    node.wait_until_idle().await?;
    node.claimed(study, anna).await?;
    node.reported(&images, study, anna).await?;
    node.signed(study, anna, true).await?;
    node.synced(&images.and_more()).await?;
    node.wait_until_idle().await?;
    let before = node.store.engine.head().await?;
    assert_eq!(node.item(study).await?.status(), Status::Pending);
    let again = node.second_node().await?;
    node.stop().await?;
    let moved = MemoryBatch {
        subscription: POLICIES,
        from: again.store.engine.checkpoint(POLICIES).await?,
        to: Checkpoint::START,
        kept: Vec::new(),
        forgotten: Vec::new(),
        refusals: Vec::new(),
    };
    assert!(again.store.engine.write_policy_memory(&moved).await?);
    again.run(every_policy()).await?;
    again.wait_until_idle().await?;
    assert_eq!(again.store.engine.head().await?, before);
    assert_eq!(again.refused().await?, Vec::<String>::new());
    again.stop().await
}

/// An event with the schema version of a later release.
async fn what_cannot_be_read_is_recorded_and_passed(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let stream_id = fresh().into();
    let unknown = NewEvent {
        event_id: fresh().into(),
        tenant_id: node.tenant,
        stream_type: "ImagingStudy",
        stream_id,
        version: 1,
        event_type: "ImagingStudy.Available",
        schema_version: 99,
        payload: "{}".to_owned(),
        sealed: Vec::new(),
        metadata: "{}".to_owned(),
    };
    let append = Append {
        checks: vec![ExpectedVersion {
            stream_id,
            expected: 0,
        }],
        events: vec![unknown],
        ..Append::default()
    };
    let deadline = Instant::now() + WAIT_TIMEOUT;
    node.store
        .appender
        .append(ShareOwner::System, append, deadline)
        .await?;
    let study = node.synced(&TestStudy::new()).await?;
    node.wait_until_idle().await?;
    assert!(node.item(study).await?.status().is_open());
    assert!(node.refused().await?.contains(&"arrived".to_owned()));
    node.stop().await
}

/// A report of a study that never arrived has no item to start.
async fn what_is_refused_is_recorded_and_passed(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::new();
    let nowhere = node.study_id(&TestStudy::new());
    node.reported(&images, nowhere, fresh().into()).await?;
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    assert!(node.item(study).await?.status().is_open());
    let effect = format!("reported.begin {}", WorklistItemId::derive(nowhere));
    assert_eq!(node.refused().await?, [effect]);
    node.stop().await
}

/// Each node has a lease with a separate name: only reservations and the checkpoint prevent duplicates.
async fn two_nodes_that_both_believe_to_lead_double_nothing(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    node.model("TRIAGE", json!({})).await?;
    let other = node.second_node().await?;
    other.run_under("another lease", every_policy()).await?;
    for _ in 0..50 {
        node.synced(&TestStudy::new()).await?;
        other.synced(&TestStudy::new()).await?;
    }
    node.wait_until_idle().await?;
    for event in ["RadiologyWorklistItem.Created", "ImagingAI.TaskCreated"] {
        assert_eq!(node.events(event).await?.len(), 100, "{event}");
    }
    assert_eq!(node.refused().await?, Vec::<String>::new());
    other.stop().await?;
    node.stop().await
}

/// Policy that schedules orders; its first attempts fail as if the database were busy.
#[derive(Debug, Default)]
struct Schedules(Arc<AtomicU32>);

const FAILURES: u32 = 3;

#[async_trait::async_trait]
impl Policy for Schedules {
    fn name(&self) -> &'static str {
        "schedules"
    }

    fn event_types(&self) -> &'static [&'static str] {
        &["ImagingOrder.Created"]
    }

    fn react(
        &self,
        cause: &Cause<'_>,
        _recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError> {
        let order = OrderId::from(cause.event.stream_id);
        let schedule = Schedule(order, Arc::clone(&self.0));
        Ok(vec![Effect::new("schedule", order, order, schedule)])
    }
}

#[derive(Debug)]
struct Schedule(OrderId, Arc<AtomicU32>);

impl UseCase for Schedule {
    type Aggregate = Order;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.0.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Order>, CommandError> {
        if self.1.fetch_add(1, Ordering::Relaxed) < FAILURES {
            return Err(CommandError::Contention);
        }
        let schedule = Update {
            status: Some(OrderStatus::Scheduled),
            ..Update::default()
        };
        work.decide::<Order>(self.0, Command::Update(Box::new(schedule)))
            .await
    }
}

async fn what_passes_by_itself_is_tried_until_it_is_done(engine: EngineKind) -> Result<()> {
    let database = Arc::new(TestDatabase::new(engine).await?);
    let node = TestNode::without_policies(database, fresh().into()).await?;
    let tries = Arc::new(AtomicU32::new(0));
    node.run(vec![Arc::new(Schedules(Arc::clone(&tries)))])
        .await?;
    let order = node.ordered(&TestStudy::accessioned(), json!({})).await?;
    node.wait_until_idle().await?;
    let status = node.state::<Order>(order).await?.progress.status();
    assert_eq!(status, OrderStatus::Scheduled);
    assert_eq!(tries.load(Ordering::Relaxed), FAILURES + 1);
    assert_eq!(node.refused().await?, Vec::<String>::new());
    node.stop().await
}
