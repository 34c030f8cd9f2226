//! Steps after the commit: states get the recorded time of the append, and are cached.

use std::sync::Arc;
use std::time::Instant;

use roentgen_domain::ids::StreamId;
use roentgen_domain::{Aggregate, Timestamp, Versioned};

use super::UnitOfWork;
use crate::state_cache::{AnyState, StateCache};

/// Sets the recorded time of a state and caches it, once the append is committed.
pub(super) type StateFinalizer =
    Box<dyn FnOnce(Timestamp, &StateCache) -> (StreamId, AnyState) + Send + Sync>;

impl UnitOfWork<'_> {
    pub(super) fn finish<A: Aggregate>(
        &mut self,
        stream_id: StreamId,
        after: Versioned<A>,
        before: u64,
        key_seen: Instant,
    ) {
        if after.version > before {
            self.finishes.push(Box::new(move |recorded_at, states| {
                let state = Arc::new(with_recorded_times(after, before, recorded_at));
                states.put(Arc::clone(&state), key_seen);
                (stream_id, state as AnyState)
            }));
        }
    }

    /// Caches the new states after the append was committed, and returns `resource` with its recorded times.
    pub(crate) fn on_committed<A: Aggregate>(
        &mut self,
        resource: Versioned<A>,
        recorded_at: Timestamp,
    ) -> Versioned<A> {
        let mut answer = None;
        for finish in std::mem::take(&mut self.finishes) {
            let (stream_id, state) = finish(recorded_at, self.states);
            if stream_id == resource.id {
                answer = state.downcast::<Versioned<A>>().ok();
            }
        }
        for (patient, key) in std::mem::take(&mut self.new_keys) {
            self.store
                .keyring
                .cache(self.context.tenant_id, patient, key);
        }
        answer.map_or(resource, Arc::unwrap_or_clone)
    }
}

/// Returns the resource with the recorded time of its events.
fn with_recorded_times<A: Aggregate>(
    mut resource: Versioned<A>,
    before: u64,
    recorded_at: Timestamp,
) -> Versioned<A> {
    resource.updated_at = recorded_at;
    if before == 0 {
        resource.created_at = recorded_at;
    }
    resource
}
