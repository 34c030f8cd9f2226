//! Errors of keys and of what they seal.

use std::sync::Arc;

use super::EngineError;

/// Why a sealed part cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The bytes do not have the format of a sealed part.
    #[error("malformed sealed PHI")]
    Malformed,
    /// The key is the right one, but the bytes are not what it sealed.
    #[error("sealed PHI failed authentication")]
    Tampered,
    /// The key named by the part neither exists nor has a tombstone.
    #[error("the key of a sealed part is missing")]
    KeyMissing,
}

/// Why keys are not available.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Log, keys and master key do not belong together.
    #[error(transparent)]
    Mismatch(#[from] KeyMismatch),
    /// The text is not 32 bytes in base64.
    #[error("master key must be 32 bytes, base64-encoded")]
    MalformedMasterKey,
    /// The key has fewer distinct bytes than a random key.
    #[error("the master key is weak: {WEAK}")]
    MasterKeyWeak,
    /// A patient's key in the log's key register neither exists nor has a tombstone.
    #[error("a patient's key is missing")]
    Missing,
    /// A wrapped key cannot be unwrapped with the master key.
    #[error("patient key cannot be unwrapped")]
    CorruptPatientKey,
    /// A secret cannot be opened with the master key, its tenant and its id.
    #[error("secret cannot be decrypted")]
    CorruptSecret,
    /// The lookup was cancelled by the shutdown.
    #[error("key lookup is shutting down")]
    Closing,
    /// The database failed.
    #[error(transparent)]
    Engine(#[from] Arc<EngineError>),
}

/// Requirement that a weak key does not meet.
pub const WEAK: &str = "it must have at least 16 distinct bytes";

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
