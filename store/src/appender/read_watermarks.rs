//! Positions that a tenant's reads wait for (read-your-writes).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use roentgen_domain::ids::TenantId;

use crate::log::StoredEvent;

/// The position that each tenant's reads wait for: the last one that this node wrote or acknowledged for the tenant,
/// and at least the head of the log when the node started, which covers what the previous process acknowledged.
#[derive(Debug, Clone)]
pub struct ReadWatermarks {
    at_start: u64,
    since: Arc<Mutex<HashMap<TenantId, u64>>>,
}

impl ReadWatermarks {
    pub(super) fn starting_at(at_start: u64) -> Self {
        Self {
            at_start,
            since: Arc::default(),
        }
    }

    /// Returns the position that the tenant's reads wait for.
    pub fn position(&self, tenant: TenantId) -> u64 {
        let positions = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        positions.get(&tenant).copied().unwrap_or(self.at_start)
    }

    pub(super) fn record_written(&self, events: &[StoredEvent]) {
        for event in events {
            self.record_acknowledged(event.tenant_id, event.position);
        }
    }

    /// Records that this node acknowledged the log up to `position`. This includes positions that it did not write: an
    /// idempotent retry of an append by another node, or a command that changed nothing.
    pub fn record_acknowledged(&self, tenant: TenantId, position: u64) {
        let mut positions = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let known = positions.entry(tenant).or_insert(self.at_start);
        *known = position.max(*known);
    }
}
