//! Leases, each held by one node at a time.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::error::EngineError;

/// Leases, each held by one node at a time.
///
/// # Errors
///
/// As described at [`Engine`](super::Engine).
#[async_trait]
pub trait LeaseStore: Debug + Send + Sync + 'static {
    /// Acquires or renews these leases for `ttl`, by the database's clock. Returns the leases that `holder` now holds.
    async fn acquire_leases(
        &self,
        names: &[String],
        holder: Uuid,
        ttl: Duration,
    ) -> Result<Vec<String>, EngineError>;

    /// Releases all leases of `holder`.
    async fn release_leases(&self, holder: Uuid) -> Result<(), EngineError>;

    /// Returns whether any node holds the lease `name`.
    async fn is_leased(&self, name: &str) -> Result<bool, EngineError>;
}
