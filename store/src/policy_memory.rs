//! What subscriptions remember: small values by topic, tenant and key, some of them with a time at which they fall due.
//!
//! A subscription reads no read model: those have a checkpoint of their own and may be ahead of it or behind. What it
//! must know of earlier events it keeps here, and writes in the transaction that moves its checkpoint.

use roentgen_domain::ids::TenantId;
use uuid::Uuid;

use crate::read_model::Checkpoint;

/// Where a value is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemoryKey {
    /// What it is about; lower-case letters and `_`.
    pub topic: &'static str,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Which one, within topic and tenant.
    pub key: String,
}

impl MemoryKey {
    /// The row's id: v5(tenant, topic, key).
    pub fn id(&self) -> Uuid {
        let meaning = format!("{}:{}", self.topic, self.key);
        Uuid::new_v5(&self.tenant_id.as_uuid(), meaning.as_bytes())
    }
}

/// A value as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryEntry {
    /// [`MemoryKey::id`].
    pub id: Uuid,
    /// What it is about.
    pub topic: String,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Which one.
    pub key: String,
    /// JSON, without PHI.
    pub value: String,
    /// When it falls due, in milliseconds since the epoch; `None` for what is no timer.
    pub due_at_ms: Option<i64>,
}

impl MemoryEntry {
    /// A value under its key.
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

/// What a batch of events changed, with the checkpoint it goes with.
#[derive(Debug)]
pub struct MemoryBatch<'a> {
    /// The subscription's name.
    pub subscription: &'a str,
    /// Where the checkpoint must stand.
    pub from: Checkpoint,
    /// Where it goes; the same where only timers changed.
    pub to: Checkpoint,
    /// New and changed values, each id once.
    pub kept: Vec<MemoryEntry>,
    /// Ids of values that are not needed any more.
    pub forgotten: Vec<Uuid>,
    /// Effects that were refused for good.
    pub refusals: Vec<RejectedEffect>,
}

/// An effect that was refused, and that no time can mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedEffect {
    /// The causing event's position.
    pub position: u64,
    /// Whose event.
    pub tenant_id: TenantId,
    /// What was to be done: the policy, the effect and its target.
    pub effect: String,
    /// Why not, without PHI.
    pub reason: String,
}
