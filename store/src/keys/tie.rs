//! Whether the keys are those of the log that they lie beside.

use crate::engine::Engine;
use crate::error::EngineError;

/// How many of the latest entries of the log's list of keys a start looks for: a start must not take longer for a
/// longer log.
const LOOKED_FOR: u32 = 64;

/// How log, keys and master key do not belong together. The text tells an operator what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyMismatch {
    /// The keys are wrapped by another master key.
    #[error("database was initialised with a different master key")]
    OtherMasterKey,
    /// There are no keys, and the log has sealed events.
    #[error(
        "the keys of this log are missing: the keys database is new or empty, and the log was opened with another one. \
         Restore the keys that belong to this log and start again; until then nothing is read or written"
    )]
    KeysMissing,
    /// The keys were restored from a time before the log's.
    #[error(
        "the keys are older than the log: {missing} of the last {looked_for} keys that its events are sealed under are \
         neither there nor have a tombstone. Restore keys that were copied after the log; until then nothing is read or \
         written"
    )]
    KeysOlder {
        /// How many of them are not there.
        missing: usize,
        /// How many were looked for.
        looked_for: usize,
    },
    /// The keys are those of another log.
    #[error(
        "the keys belong to another log. Restore the keys that belong to this log and start again; until then nothing \
         is read or written"
    )]
    OtherLog,
    /// There are keys, and no log.
    #[error(
        "the log is missing: it is empty, and the keys beside it belong to a log with patients. Restore the log that \
         belongs to these keys, or move the keys away to begin a new one; until then nothing is read or written"
    )]
    LogMissing,
}

/// What is done about a log and keys that nothing ties to one another yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyBinding {
    /// They are tied.
    Bind,
    /// They are left as they are.
    Look,
}

/// Says how log, keys and master key do not belong together, if they do not.
///
/// # Errors
///
/// Where the database does not answer.
pub async fn misfit(
    engine: &dyn Engine,
    fingerprint: &[u8],
    tying: KeyBinding,
) -> Result<Option<KeyMismatch>, EngineError> {
    if let Some(misfit) = engine.tie_keys(fingerprint, tying).await? {
        return Ok(Some(misfit));
    }
    let latest = engine.last_registered_keys(LOOKED_FOR).await?;
    let ids: Vec<_> = latest.iter().map(|entry| entry.key_id).collect();
    let found = engine.keys_by_id(&ids).await?;
    let is_found = |id: &&uuid::Uuid| found.iter().any(|key| key.key_id() == **id);
    let missing = ids.iter().filter(|id| !is_found(id)).count();
    Ok((missing > 0).then_some(KeyMismatch::KeysOlder {
        missing,
        looked_for: ids.len(),
    }))
}
