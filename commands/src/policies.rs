//! Policies: events that lead to commands.
//!
//! ```text
//! the log --> events of interest --> react (pure, with memory) --> effects --> Executor --> the log
//!                  ^                        |                         |
//!                  +------ checkpoint <-----+------- all done --------+
//! ```
//!
//! A policy is told each event that it listens to, in position order, with what it remembered of earlier ones, and
//! answers with effects: use cases of the system's own. It reads no read model. What an effect decides on is the state
//! of its aggregates, read and proven in its append like any other command's; each effect carries a claim of its
//! policy, its name, its target and the causing event's position in that same append, so that none is ever done twice,
//! whenever the process was killed. The checkpoint moves, together with the memory, once all effects of a batch are
//! done.
//!
//! Effects of one study are carried out in order, those of different ones at once. What fails because something is down
//! is tried again until it is done; what the database refuses is waited out for an hour; what is refused for good, or
//! rests on damaged data, is recorded and passed.

mod add_to_worklist;
mod apply_triage;
mod effect;
mod escalate_critical_results;
mod failure_kind;
mod link_studies;
mod planned_effect;
mod policy_memory;
mod release_idle_claims;
mod reopen_for_late_images;
mod request_ai_tasks;
mod runner;
mod sync_report_status;
mod timers;
mod update_linked_orders;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roentgen_domain::ids::CorrelationId;
use roentgen_domain::{Aggregate, EventMetadata, Timestamp};
use roentgen_store::codec::{self, EventReadError};
use roentgen_store::database::Store;
use roentgen_store::error::EngineError;
use roentgen_store::log::StoredEvent;
use roentgen_store::policy_memory::{MemoryEntry, MemoryKey};

use crate::error::CommandError;
use crate::executor::Executor;

pub use effect::Effect;
pub use policy_memory::PolicyMemory;
pub use runner::{PolicyProgress, Runner};

/// The checkpoint's name.
pub const POLICIES: &str = "policies";

/// Returns the number of events after the policies' checkpoint, over all nodes, as the database has it.
///
/// # Errors
///
/// [`EngineError`] if the database fails.
pub async fn lag(store: &Store) -> Result<u64, EngineError> {
    // In this order: what happens in between makes the lag larger, and never 0 too soon.
    let reached = store.engine.checkpoint(POLICIES).await?.position;
    let head = store.engine.head().await?.position;
    Ok(head.saturating_sub(reached))
}

/// What policies are told at the start.
#[derive(Debug, Clone, Copy)]
pub struct PolicySettings {
    /// How long a claim may be idle.
    pub claim_timeout: Duration,
}

/// What follows from events of some types.
#[async_trait]
pub trait Policy: Debug + Send + Sync + 'static {
    /// Frozen: it is part of the claims.
    fn name(&self) -> &'static str;

    /// The events that it is told, by their wire names.
    fn event_types(&self) -> &'static [&'static str];

    /// What it must remember to react to this one.
    fn memory_keys(&self, _cause: &Cause<'_>) -> Vec<MemoryKey> {
        Vec::new()
    }

    /// Returns the effects, in order. They must depend on the event and the memory only, so that every repetition plans
    /// the same.
    ///
    /// # Errors
    ///
    /// [`EventReadError`] if the event cannot be decoded: it is logged, and has no effect.
    fn react(
        &self,
        cause: &Cause<'_>,
        recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError>;

    /// The topic of its timers, where it has any.
    fn timer_topic(&self) -> Option<&'static str> {
        None
    }

    /// One of its timers has come to its time.
    async fn on_timer(
        &self,
        _timer: &MemoryEntry,
        _executor: &Executor,
    ) -> Result<TimerOutcome, CommandError> {
        Ok(TimerOutcome::Done)
    }
}

/// What becomes of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerOutcome {
    /// Nothing more.
    Done,
    /// It is not time yet.
    Reschedule(Timestamp),
}

/// An event that something may follow from.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'a> {
    /// As it stands in the log.
    pub event: &'a StoredEvent,
}

impl Cause<'_> {
    /// Decodes the event, without its PHI; `None` if it is of another aggregate.
    ///
    /// # Errors
    ///
    /// [`EventReadError`] if this release cannot decode it.
    pub fn event<A: Aggregate>(&self) -> Result<Option<A::Event>, EventReadError> {
        if *self.event.stream_type != *A::STREAM_TYPE {
            return Ok(None);
        }
        codec::decode::<A>(self.event, None).map(Some)
    }

    /// What set the event in motion; the event itself, where it does not say.
    pub fn correlation_id(&self) -> CorrelationId {
        let metadata: Result<EventMetadata, _> = serde_json::from_str(&self.event.metadata);
        let by_itself = || self.event.event_id.as_uuid().into();
        metadata.map_or_else(|_| by_itself(), |metadata| metadata.correlation_id)
    }

    /// Where a value of this tenant is kept.
    pub fn memory(&self, topic: &'static str, key: impl ToString) -> MemoryKey {
        MemoryKey {
            topic,
            tenant_id: self.event.tenant_id,
            key: key.to_string(),
        }
    }
}

/// Every policy there is. Those that are told of one event plan its effects in this order.
pub fn all(settings: PolicySettings) -> Vec<Arc<dyn Policy>> {
    let PolicySettings { claim_timeout } = settings;
    vec![
        Arc::new(add_to_worklist::AddToWorklist),
        Arc::new(link_studies::LinkStudies),
        Arc::new(update_linked_orders::UpdateLinkedOrders),
        Arc::new(request_ai_tasks::RequestAiTasks),
        Arc::new(apply_triage::ApplyTriage),
        Arc::new(sync_report_status::SyncReportStatus),
        Arc::new(reopen_for_late_images::ReopenForLateImages),
        Arc::new(release_idle_claims::ReleaseIdleClaims { claim_timeout }),
        Arc::new(escalate_critical_results::EscalateCriticalResults),
    ]
}
