//! What reads wait for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use roentgen_domain::ids::TenantId;

use crate::log::StoredEvent;

/// What a tenant's reads wait for: the last position that this node wrote or answered for, and never less than where
/// the log ended when the node started, so that what its predecessor acknowledged is not missed either.
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

    /// The position that the tenant's reads wait for.
    pub fn position(&self, tenant: TenantId) -> u64 {
        let positions = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        positions.get(&tenant).copied().unwrap_or(self.at_start)
    }

    pub(super) fn record_written(&self, events: &[StoredEvent]) {
        for event in events {
            self.record_acknowledged(event.tenant_id, event.position);
        }
    }

    /// This node answered for the log up to `position`, also where it wrote none of it: a repeat of what another node
    /// wrote, or a command that found everything as it was asked.
    pub fn record_acknowledged(&self, tenant: TenantId, position: u64) {
        let mut positions = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let known = positions.entry(tenant).or_insert(self.at_start);
        *known = position.max(*known);
    }
}
