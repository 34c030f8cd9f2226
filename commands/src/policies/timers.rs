//! Timers: values in policy memory with a due time.
//!
//! A timer is only a hint: its command decides on the current state of the aggregates, and changes nothing if it was
//! executed before. So a timer needs no reservation, and a late or repeated one has no effect.

use std::sync::Arc;
use std::time::Duration;

use roentgen_store::error::EngineError;
use roentgen_store::policy_memory::MemoryEntry;
use roentgen_store::subscription::{Subscription, SubscriptionChanges};
use roentgen_store::{clock, error};
use tokio::time::Instant;

use super::failure_kind::FailureKind;
use super::{Policy, TimerOutcome};
use crate::executor::Executor;

/// Maximum number of timers per batch.
const TIMERS_PER_BATCH: u32 = 64;
/// Delay before a failed timer is due again, in milliseconds.
const AFTER_A_FAILURE_MS: i64 = 5_000;

/// Due time of the next timer, as far as this node knows.
#[derive(Debug, Default)]
pub(super) struct Timers {
    looked: bool,
    next_ms: Option<i64>,
}

impl Timers {
    /// Marks the next due time as unknown, because timers were set that may be earlier.
    pub(super) fn invalidate(&mut self) {
        self.looked = false;
    }

    fn is_due(&self) -> bool {
        !self.looked || self.next_ms.is_some_and(|next_m| next_m <= clock::now_ms())
    }

    /// Returns the time of the next check.
    pub(super) fn next(&self) -> Option<Instant> {
        let in_ms = self.next_ms?.saturating_sub(clock::now_ms());
        Some(Instant::now() + Duration::from_millis(u64::try_from(in_ms).unwrap_or(0)))
    }

    /// Runs the timers that are due. Returns `false` if another node advanced the checkpoint.
    pub(super) async fn run_due(
        &mut self,
        log: &mut Subscription,
        policies: &[Arc<dyn Policy>],
        executor: &Executor,
    ) -> Result<bool, EngineError> {
        if !self.is_due() {
            return Ok(true);
        }
        let engine = &executor.store().engine;
        let now_ms = clock::now_ms();
        let mut changes = SubscriptionChanges::default();
        let earliest = engine.due_timers(TIMERS_PER_BATCH).await?;
        let is_due = |entry: &MemoryEntry| entry.due_at_ms.is_some_and(|at| at <= now_ms);
        for timer in earliest.iter().filter(|entry| is_due(entry)) {
            match next_due(timer, policies, executor).await {
                None => changes.forgotten.push(timer.id),
                due_at_ms => changes.kept.push(MemoryEntry {
                    due_at_ms,
                    ..timer.clone()
                }),
            }
        }
        self.looked = changes.kept.is_empty() && changes.forgotten.is_empty();
        self.next_ms = earliest.first().and_then(|entry| entry.due_at_ms);
        log.commit_if_changed(changes).await
    }
}

/// Runs a timer. Returns when it is due again, or `None` if it is done.
async fn next_due(
    timer: &MemoryEntry,
    policies: &[Arc<dyn Policy>],
    executor: &Executor,
) -> Option<i64> {
    let mut owners = policies.iter();
    let policy = owners.find(|policy| policy.timer_topic() == Some(timer.topic.as_str()))?;
    match policy.on_timer(timer, executor).await {
        Ok(TimerOutcome::Done) => None,
        Ok(TimerOutcome::Reschedule(time)) => Some(time.as_millis()),
        Err(error) => {
            let failure = FailureKind::classify(&error);
            let reason = error::error_chain(&error);
            if !failure.should_retry(Duration::ZERO) {
                failure.record_final_failure(policy.name(), None, &reason);
                return None;
            }
            tracing::warn!(
                event = "policy.timer_failed",
                policy = policy.name(),
                error = reason,
                "timer failed, will retry",
            );
            Some(clock::now_ms().saturating_add(AFTER_A_FAILURE_MS))
        }
    }
}
