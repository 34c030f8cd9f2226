//! Check that log, keys and master key belong together.

use crate::engine::KeyStore;
use crate::error::EngineError;

/// Number of the latest entries of the log's key register that are checked at startup. It is bounded, so that startup
/// time does not grow with the log.
const LOOKED_FOR: u32 = 64;

/// How log, keys and master key do not belong together. The error text tells operators what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyMismatch {
    /// The keys are wrapped by another master key.
    #[error("database was initialised with a different master key")]
    OtherMasterKey,
    /// The log has sealed events, but there are no keys.
    #[error(
        "the keys of this log are missing: the keys database is new or empty, and the log was opened with another one. \
         Restore the keys that belong to this log and start again; until then nothing is read or written"
    )]
    KeysMissing,
    /// The keys were restored from an earlier time than the log.
    #[error(
        "the keys are older than the log: {missing} of the last {looked_for} keys that its events are sealed under are \
         neither there nor have a tombstone. Restore keys that were copied after the log; until then nothing is read or \
         written"
    )]
    KeysOlder {
        /// Number of keys that do not exist.
        missing: usize,
        /// Number of keys checked.
        looked_for: usize,
    },
    /// The keys belong to another log.
    #[error(
        "the keys belong to another log. Restore the keys that belong to this log and start again; until then nothing \
         is read or written"
    )]
    OtherLog,
    /// There are keys, but the log is empty.
    #[error(
        "the log is missing: it is empty, and the keys beside it belong to a log with patients. Restore the log that \
         belongs to these keys, or move the keys away to begin a new one; until then nothing is read or written"
    )]
    LogMissing,
}

/// What to do with a log and keys that are not yet bound to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyBinding {
    /// Bind them.
    Bind,
    /// Leave them unchanged.
    Look,
}

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
