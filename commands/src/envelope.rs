//! What accompanies a command: the caller, tracing ids and preconditions.

use roentgen_domain::ids::{CorrelationId, EventId, TenantId};
use roentgen_domain::{Actor, Context};
use roentgen_store::clock;
use roentgen_store::database::Store;
use roentgen_store::fair::ShareOwner;
use roentgen_store::reads::Reads;

use crate::idempotency::Idempotency;

/// Metadata of a command: caller, tracing ids and preconditions.
#[derive(Debug, Clone)]
pub struct CommandEnvelope {
    /// The caller's tenant.
    pub tenant_id: TenantId,
    /// The caller.
    pub actor: Actor,
    /// Correlation id.
    pub correlation_id: CorrelationId,
    /// Event that caused the command, if any.
    pub causation_id: Option<EventId>,
    /// Version that `If-Match` expects.
    pub if_match: Option<u64>,
    /// Idempotency key, if the caller sent one.
    pub idempotency: Option<Idempotency>,
}

impl CommandEnvelope {
    /// Builds the envelope of a command that the system issues because of an event.
    pub(crate) fn system(
        tenant_id: TenantId,
        correlation_id: CorrelationId,
        causation_id: EventId,
        idempotency: Option<Idempotency>,
    ) -> Self {
        Self {
            tenant_id,
            actor: Actor::system(),
            correlation_id,
            causation_id: Some(causation_id),
            if_match: None,
            idempotency,
        }
    }

    /// Returns the owner of the shares that the command uses. Commands of policies use shares of the system, so that
    /// they do not wait behind the callers of the tenant.
    pub(crate) const fn party(&self) -> ShareOwner {
        match self.causation_id {
            Some(_) => ShareOwner::System,
            None => ShareOwner::Tenant(self.tenant_id),
        }
    }

    /// Returns a reader of the tenant's data.
    pub(crate) fn reads(&self, store: &Store) -> Reads {
        match self.party() {
            ShareOwner::Tenant(tenant) => Reads::of_tenant(store, tenant),
            ShareOwner::System => Reads::of_system_for(store, self.tenant_id),
        }
    }

    /// Checks whether the system issued the command because of an event.
    pub(crate) const fn is_systems(&self) -> bool {
        self.causation_id.is_some()
    }

    pub(crate) fn context(&self) -> Context {
        Context {
            tenant_id: self.tenant_id,
            actor: self.actor.clone(),
            now: clock::now(),
            fresh_id: clock::fresh_id(),
        }
    }
}
