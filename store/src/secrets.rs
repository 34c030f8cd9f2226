//! The catalog's secrets: passwords and tokens of PACS endpoints and AI models.
//!
//! A secret never appears in the log, a read model or a response. It is stored in a separate table, sealed with
//! AES-256-GCM under the master key, with its tenant and id as associated data; events and states contain only the id.
//! A secret is stored before the append that refers to it. If that append is rejected the secret stays, because nothing
//! shows which append it was stored for.

use std::fmt;
use std::sync::Arc;

use roentgen_domain::ids::{SecretId, TenantId};

use crate::clock;
use crate::engine::{KeyStore, SealedSecret};
use crate::error::{KeyError, StoreError};
use crate::keys::MasterKey;

/// A secret in plain text. Its `Debug` output does not contain the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Marks bytes as secret.
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, for use as credentials towards the other system.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Stores and retrieves secrets.
#[derive(Debug, Clone)]
pub struct Secrets {
    store: Arc<dyn KeyStore>,
    master: MasterKey,
}

impl Secrets {
    /// Creates the storage for secrets in a database, under a master key.
    pub fn new(store: Arc<dyn KeyStore>, master: MasterKey) -> Self {
        Self { store, master }
    }

    /// Encrypts the secret and stores it under a new id. It is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails; nothing refers to the id then.
    pub async fn put(
        &self,
        tenant: TenantId,
        secret: &SecretBytes,
    ) -> Result<SecretId, StoreError> {
        let id = SecretId::from(clock::fresh_id());
        let sealed = self
            .master
            .seal_secret(&secret.0, &associated_data(tenant, id));
        let row = SealedSecret {
            tenant_id: tenant,
            id,
            sealed,
        };
        self.store.put_secret(&row).await?;
        Ok(id)
    }

    /// Returns a tenant's secret, if it exists.
    ///
    /// # Errors
    /// [`KeyError::CorruptSecret`] if it cannot be opened: its bytes, tenant, id or master key do not match.
    pub async fn get(
        &self,
        tenant: TenantId,
        id: SecretId,
    ) -> Result<Option<SecretBytes>, StoreError> {
        let Some(sealed) = self.store.secret(tenant, id).await? else {
            return Ok(None);
        };
        let opened = self
            .master
            .open_secret(&sealed, &associated_data(tenant, id));
        let bytes = opened.ok_or(KeyError::CorruptSecret)?;
        Ok(Some(SecretBytes(bytes)))
    }
}

/// Concatenates tenant and id.
fn associated_data(tenant: TenantId, id: SecretId) -> [u8; 32] {
    let mut place = [0; 32];
    let (first, second) = place.split_at_mut(16);
    first.copy_from_slice(tenant.as_uuid().as_bytes());
    second.copy_from_slice(id.as_uuid().as_bytes());
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = SecretBytes::new(b"hunter2".to_vec());
        assert_eq!(format!("{secret:?}"), "[secret]");
    }
}
