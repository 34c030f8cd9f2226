//! Check that log, keys and master key belong together.

use crate::engine::{KeyBinding, KeyStore};
use crate::error::{EngineError, KeyMismatch};

/// Number of the latest entries of the log's key register that are checked at startup. It is bounded, so that startup
/// time does not grow with the log.
const LOOKED_FOR: u32 = 64;

/// Returns how log, keys and master key do not belong together, or `None` if they do.
///
/// # Errors
///
/// [`EngineError`] if the database fails.
pub async fn key_mismatch(
    store: &dyn KeyStore,
    fingerprint: &[u8],
    binding: KeyBinding,
) -> Result<Option<KeyMismatch>, EngineError> {
    if let Some(mismatch) = store.bind_keys(fingerprint, binding).await? {
        return Ok(Some(mismatch));
    }
    let latest = store.last_registered_keys(LOOKED_FOR).await?;
    let ids: Vec<_> = latest.iter().map(|entry| entry.key_id).collect();
    let found = store.keys_by_id(&ids).await?;
    let is_found = |id: &&uuid::Uuid| found.iter().any(|key| key.key_id() == **id);
    let missing = ids.iter().filter(|id| !is_found(id)).count();
    Ok((missing > 0).then_some(KeyMismatch::KeysOlder {
        missing,
        looked_for: ids.len(),
    }))
}
