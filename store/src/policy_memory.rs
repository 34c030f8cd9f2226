//! Policy memory: small values that subscriptions store by topic, tenant and key; values with a due time are timers.
//!
//! Subscriptions do not use read models, which have their own checkpoints and may be ahead of a subscription or behind
//! it. A subscription stores what it must know of earlier events here, in the transaction that advances its checkpoint.

use roentgen_domain::ids::TenantId;
use uuid::Uuid;

use crate::read_model::Checkpoint;

/// The key of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemoryKey {
    /// Topic: lower-case letters and `_`.
    pub topic: &'static str,
    /// Tenant of the value.
    pub tenant_id: TenantId,
    /// Key within topic and tenant.
    pub key: String,
}

impl MemoryKey {
    /// Returns the id of the row: UUIDv5 of tenant, topic and key.
    pub fn id(&self) -> Uuid {
        let meaning = format!("{}:{}", self.topic, self.key);
        Uuid::new_v5(&self.tenant_id.as_uuid(), meaning.as_bytes())
    }
}

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryEntry {
    /// [`MemoryKey::id`].
    pub id: Uuid,
    /// Topic.
    pub topic: String,
    /// Tenant of the value.
    pub tenant_id: TenantId,
    /// Key within topic and tenant.
    pub key: String,
    /// Value as JSON, without PHI.
    pub value: String,
    /// Due time of a timer, in milliseconds since the Unix epoch; `None` if the value is not a timer.
    pub due_at_ms: Option<i64>,
}

impl MemoryEntry {
    /// Creates an entry under a key.
    pub fn new(key: &MemoryKey, value: String, due_at_ms: Option<i64>) -> Self {
        Self {
            id: key.id(),
            topic: key.topic.to_owned(),
            tenant_id: key.tenant_id,
            key: key.key.clone(),
            value,
            due_at_ms,
        }
    }
}

/// The changes of policy memory from a batch of events, with the checkpoint after them.
#[derive(Debug)]
pub struct MemoryBatch<'a> {
    /// Name of the subscription.
    pub subscription: &'a str,
    /// Expected checkpoint.
    pub from: Checkpoint,
    /// New checkpoint; equal to `from` if only timers changed.
    pub to: Checkpoint,
    /// New and changed values; each id once.
    pub kept: Vec<MemoryEntry>,
    /// Ids of values to delete.
    pub forgotten: Vec<Uuid>,
    /// Permanently rejected effects.
    pub refusals: Vec<RejectedEffect>,
}

/// An effect that was rejected permanently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedEffect {
    /// Position of the causing event.
    pub position: u64,
    /// Tenant of the causing event.
    pub tenant_id: TenantId,
    /// Policy, effect and target.
    pub effect: String,
    /// Why the effect was rejected, without PHI.
    pub reason: String,
}
