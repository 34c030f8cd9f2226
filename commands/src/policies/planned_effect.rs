//! Effects to execute, and the records of those that failed.

use std::collections::HashMap;

use roentgen_domain::ids::StreamId;
use roentgen_store::error::{EventReadError, error_chain};
use roentgen_store::log::StoredEvent;
use roentgen_store::policy_memory::RejectedEffect;

use super::failure_kind::FailureKind;
use super::{Cause, Effect, Policy};
use crate::envelope::CommandEnvelope;
use crate::error::CommandError;
use crate::idempotency::Idempotency;

/// Effect with the event that caused it.
pub(super) struct PlannedEffect {
    pub(super) label: String,
    pub(super) effect: Effect,
    pub(super) request: CommandEnvelope,
    pub(super) position: u64,
}

impl PlannedEffect {
    pub(super) fn new(policy: &dyn Policy, event: &StoredEvent, effect: Effect) -> Self {
        let label = format!("{}.{}", policy.name(), effect.name);
        let claim = Idempotency::of_effect(&label, effect.target, event.position);
        let correlation = Cause { event }.correlation_id();
        let request =
            CommandEnvelope::system(event.tenant_id, correlation, event.event_id, Some(claim));
        Self {
            label,
            effect,
            request,
            position: event.position,
        }
    }

    /// Records the failure, and returns the entry to store for an effect that is not retried.
    pub(super) fn refused(&self, failure: FailureKind, error: &CommandError) -> RejectedEffect {
        let reason = error_chain(error);
        failure.record_final_failure(&self.label, Some(self.position), &reason);
        RejectedEffect {
            position: self.position,
            tenant_id: self.request.tenant_id,
            effect: format!("{} {}", self.label, self.effect.target),
            reason,
        }
    }
}

/// Groups effects by lane; within a lane, the order is preserved.
pub(super) fn lanes(planned: Vec<PlannedEffect>) -> Vec<Vec<PlannedEffect>> {
    let mut places: HashMap<StreamId, usize> = HashMap::new();
    let mut lanes: Vec<Vec<PlannedEffect>> = Vec::new();
    for effect in planned {
        let place = *places.entry(effect.effect.lane).or_insert_with(|| {
            lanes.push(Vec::new());
            lanes.len() - 1
        });
        if let Some(lane) = lanes.get_mut(place) {
            lane.push(effect);
        }
    }
    lanes
}

/// Records an event that a policy cannot decode, and returns the entry to store.
pub(super) fn undecodable_event(
    policy: &dyn Policy,
    event: &StoredEvent,
    unreadable: &EventReadError,
) -> RejectedEffect {
    let policy = policy.name();
    let position = event.position;
    let reason = error_chain(unreadable);
    tracing::error!(
        event = "policy.event_undecodable",
        policy,
        position,
        reason,
        "policy cannot decode event",
    );
    metrics::counter!("roentgen_policy_refusals_total", "effect" => policy).increment(1);
    RejectedEffect {
        position,
        tenant_id: event.tenant_id,
        effect: policy.to_owned(),
        reason,
    }
}
