//! Policies: process managers that receive events and issue commands.
//!
//! ```text
//! the log --> events of interest --> react (pure, with memory) --> effects --> Executor --> the log
//!                  ^                        |                         |
//!                  +------ checkpoint <-----+------- all done --------+
//! ```
//!
//! A policy receives each event to which it subscribes, in position order, with the values that it stored earlier, and
//! returns effects: use cases that the system executes. It reads no read model. An effect reads aggregates, and its
//! append expects their versions, as for any other command. The same append takes a reservation of policy, effect name,
//! target and position of the causing event, so that no effect is executed twice, even after a crash. The checkpoint
//! advances together with the policy memory, after all effects of a batch are done.
//!
//! Effects of one lane, usually one study, are executed in order, those of different lanes concurrently. A transient
//! failure is retried until it succeeds, and a failure that an operator can repair is retried for an hour. A permanent
//! failure and a rejected command are recorded and skipped.

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
use roentgen_store::codec;
use roentgen_store::database::Store;
use roentgen_store::error::{EngineError, EventReadError};
use roentgen_store::log::StoredEvent;
use roentgen_store::policy_memory::{MemoryEntry, MemoryKey};

use crate::error::CommandError;
use crate::executor::Executor;

pub use effect::Effect;
pub use policy_memory::PolicyMemory;
pub use runner::{PolicyProgress, Runner};

/// Name of the policies' checkpoint.
pub const POLICIES: &str = "policies";

/// Returns the number of events after the policies' checkpoint in the database, which all nodes share.
///
/// # Errors
///
/// [`EngineError`] if the database fails.
pub async fn lag(store: &Store) -> Result<u64, EngineError> {
    // The checkpoint is read first: events in between can make the lag too large, but never 0 too early.
    let reached = store.engine.checkpoint(POLICIES).await?.position;
    let head = store.engine.head().await?.position;
    Ok(head.saturating_sub(reached))
}

/// Settings of the policies.
#[derive(Debug, Clone, Copy)]
pub struct PolicySettings {
    /// Time without activity after which a claim is released.
    pub claim_timeout: Duration,
}

/// Reaction to events of some types.
#[async_trait]
pub trait Policy: Debug + Send + Sync + 'static {
    /// Returns the name of the policy. It is frozen, because it is part of the reservations.
    fn name(&self) -> &'static str;

    /// Returns the event types to which the policy subscribes, by wire name.
    fn event_types(&self) -> &'static [&'static str];

    /// Returns the keys of the policy memory that the reaction to this event needs.
    fn memory_keys(&self, _cause: &Cause<'_>) -> Vec<MemoryKey> {
        Vec::new()
    }

    /// Returns the effects, in order. They must depend on event and memory only, so that a retry plans the same
    /// effects.
    ///
    /// # Errors
    ///
    /// [`EventReadError`] if the event cannot be decoded. The error is logged, and the event has no effect.
    fn react(
        &self,
        cause: &Cause<'_>,
        recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError>;

    /// Returns the memory topic of the policy's timers, if it has any.
    fn timer_topic(&self) -> Option<&'static str> {
        None
    }

    /// Handles a timer that is due.
    async fn on_timer(
        &self,
        _timer: &MemoryEntry,
        _executor: &Executor,
    ) -> Result<TimerOutcome, CommandError> {
        Ok(TimerOutcome::Done)
    }
}

/// Outcome of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerOutcome {
    /// The timer is done and deleted.
    Done,
    /// The timer is due again at this time.
    Reschedule(Timestamp),
}

/// Event that may cause effects.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'a> {
    /// Event as stored in the log.
    pub event: &'a StoredEvent,
}

impl Cause<'_> {
    /// Decodes the event without its PHI. Returns `None` if it belongs to another aggregate type.
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

    /// Returns the correlation id of the event, or its event id if the metadata cannot be read.
    pub fn correlation_id(&self) -> CorrelationId {
        let metadata: Result<EventMetadata, _> = serde_json::from_str(&self.event.metadata);
        let by_itself = || self.event.event_id.as_uuid().into();
        metadata.map_or_else(|_| by_itself(), |metadata| metadata.correlation_id)
    }

    /// Returns the key of a memory value of the event's tenant.
    pub fn memory(&self, topic: &'static str, key: impl ToString) -> MemoryKey {
        MemoryKey {
            topic,
            tenant_id: self.event.tenant_id,
            key: key.to_string(),
        }
    }
}

/// Returns all policies. Policies that subscribe to the same event plan their effects in this order.
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
