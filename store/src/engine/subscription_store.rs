//! What subscriptions and relays keep: checkpoints, policy memory and rejected effects.

use async_trait::async_trait;
use uuid::Uuid;

use super::EventLog;
use crate::error::EngineError;
use crate::policy_memory::{MemoryBatch, MemoryEntry, RejectedEffect};
use crate::read_model::Checkpoint;
use crate::relay_checkpoint::RelayCheckpoint;

/// What subscriptions and relays keep: checkpoints, policy memory and rejected effects.
///
/// # Errors
///
/// As described at [`Engine`](super::Engine).
#[async_trait]
pub trait SubscriptionStore: EventLog {
    /// Returns a subscription's checkpoint; position 0 and 32 zero bytes if it has none.
    async fn checkpoint(&self, subscription: &str) -> Result<Checkpoint, EngineError>;

    /// Returns policy memory by id, in no particular order. Ids that do not exist are left out.
    async fn policy_memory(&self, ids: &[Uuid]) -> Result<Vec<MemoryEntry>, EngineError>;

    /// Returns the timers with the earliest due times, in order, at most `limit`.
    async fn due_timers(&self, limit: u32) -> Result<Vec<MemoryEntry>, EngineError>;

    /// Writes policy memory and advances the subscription's checkpoint in one transaction, by compare-and-set on the
    /// old checkpoint. Returns `false` and writes nothing if the checkpoint is superseded.
    async fn write_policy_memory(&self, batch: &MemoryBatch<'_>) -> Result<bool, EngineError>;

    /// Returns the permanently rejected effects, latest first, at most `limit`.
    async fn rejected_effects(&self, limit: u32) -> Result<Vec<RejectedEffect>, EngineError>;

    /// Returns the checkpoint of the relay `name`; `None` before its first start.
    async fn relay_checkpoint(&self, name: &str) -> Result<Option<RelayCheckpoint>, EngineError>;

    /// Advances the checkpoint of the relay `name`, by compare-and-set on `from` (`None`: no checkpoint yet). Returns
    /// `false` if the checkpoint is superseded.
    async fn advance_relay(
        &self,
        name: &str,
        from: Option<&RelayCheckpoint>,
        to: &RelayCheckpoint,
    ) -> Result<bool, EngineError>;
}
