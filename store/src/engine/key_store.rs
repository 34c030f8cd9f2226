//! Patient keys, the log's register of them, sealed secrets, and what identifies the deployment.

use std::fmt::Debug;

use async_trait::async_trait;
use roentgen_domain::ids::{PatientId, SecretId, TenantId};
use uuid::Uuid;

use crate::error::{EngineError, KeyMismatch};
use crate::log::{KeyState, KnownKeys, RegisteredKey};

/// What to do with a log and keys that are not yet bound to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyBinding {
    /// Bind them.
    Bind,
    /// Leave them unchanged.
    Look,
}

/// A stored secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// Tenant of the secret.
    pub tenant_id: TenantId,
    /// Secret id, random.
    pub id: SecretId,
    /// Nonce (12 bytes), ciphertext and tag (16 bytes).
    pub sealed: Vec<u8>,
}

/// Patient keys, the log's register of them, sealed secrets, and what identifies the deployment.
///
/// # Errors
///
/// As described at [`Engine`](super::Engine).
#[async_trait]
pub trait KeyStore: Debug + Send + Sync + 'static {
    /// Returns the known keys of each patient, in the order of `patients`.
    async fn patient_keys(
        &self,
        patients: &[(TenantId, PatientId)],
    ) -> Result<Vec<KnownKeys>, EngineError>;

    /// Returns the states of these keys, in no particular order. A key that neither exists nor has a tombstone is left
    /// out.
    async fn keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyState>, EngineError>;

    /// Returns entries of the log's key register with `after < number`, in order, at most `limit`.
    async fn registered_keys(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RegisteredKey>, EngineError>;

    /// Returns the last entries of the log's key register, latest first, at most `limit`.
    async fn last_registered_keys(&self, limit: u32) -> Result<Vec<RegisteredKey>, EngineError>;

    /// Checks that log, keys and the master key's fingerprint belong together, and returns the mismatch, if any. With
    /// [`KeyBinding::Bind`], a log and keys that are not yet bound are bound to each other and to `fingerprint`.
    async fn bind_keys(
        &self,
        fingerprint: &[u8],
        binding: KeyBinding,
    ) -> Result<Option<KeyMismatch>, EngineError>;

    /// Returns the fingerprint of the key that signs this database's events. Stores `candidate` if there is none yet.
    async fn event_key_fingerprint(&self, candidate: &[u8]) -> Result<Vec<u8>, EngineError>;

    /// Records that the database is served only with token authentication.
    async fn mark_served_with_tokens(&self) -> Result<(), EngineError>;

    /// Returns whether the database was ever served only with token authentication.
    async fn was_served_with_tokens(&self) -> Result<bool, EngineError>;

    /// Stores a sealed secret under a new id.
    async fn put_secret(&self, secret: &SealedSecret) -> Result<(), EngineError>;

    /// Returns a tenant's secret, sealed, if it exists.
    async fn secret(&self, tenant: TenantId, id: SecretId) -> Result<Option<Vec<u8>>, EngineError>;
}
