//! Errors of the store and of the database engines.

mod events;
mod keys;

use roentgen_domain::ids::StreamId;

use crate::log::HeldReservation;

pub use events::{EventReadError, EventWriteError};
pub use keys::{KeyError, KeyMismatch, SealError, WEAK};

/// Formats an error with all its sources, for the application log.
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, error| format!("{text}: {error}"))
}

/// Why a call of an engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The connection was lost. It is unknown whether the call took effect.
    #[error("database connection lost")]
    ConnectionLost(#[source] sqlx::Error),
    /// A timeout, a lock, a shutdown or no connection. Nothing took effect.
    #[error("database unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// The database rejects this statement and would reject it again. Nothing took effect.
    #[error("database rejected the statement")]
    Rejected(#[source] sqlx::Error),
    /// The requested positions are archived, or start in an archive.
    #[error("positions below {past_position} are archived")]
    Archived {
        /// First position that is not archived.
        past_position: u64,
    },
    /// Stored data cannot be right.
    #[error("corrupt stored data: {0}")]
    Corrupt(#[from] Corruption),
    /// The read model of this name is being built and has no live generation yet.
    #[error("read model {0} is being built")]
    ReadModelNotReady(&'static str),
    /// A registered key of a patient neither exists nor has a tombstone. Nothing took effect.
    #[error("a patient's key is missing")]
    KeyMissing,
}

/// What is wrong with stored data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// A column has a value that its type does not allow.
    #[error("column {column} at position {position}")]
    Column {
        /// Column name.
        column: &'static str,
        /// Position of the event; 0 outside the log.
        position: u64,
    },
    /// The result of the function `log_append` does not have the specified form.
    #[error("unexpected result from log_append")]
    AppendResult,
}

/// Why a call of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A stream was not at the expected version. Nothing was written.
    #[error("stream {stream_id} is at version {actual}")]
    Conflict {
        /// Stream id.
        stream_id: StreamId,
        /// Current version of the stream.
        actual: u64,
    },
    /// The key of a reservation is already taken. Nothing was written.
    #[error("reservation key already taken")]
    KeyTaken(HeldReservation),
    /// A key was created for the patient concurrently. Nothing was written.
    #[error("patient key already exists")]
    PatientKeyExists,
    /// The queue is full, the deadline passed before sending, or the database is unavailable. Nothing was written.
    #[error("not available: {0}")]
    Unavailable(Unavailable),
    /// The batch was sent, its response was lost, and the deadline passed before the outcome was known.
    #[error("append outcome unknown")]
    OutcomeUnknown,
    /// An event exceeds [`MAX_EVENT_BYTES`](crate::log::MAX_EVENT_BYTES).
    #[error("event of {bytes} bytes exceeds the limit of 262144 bytes")]
    EventTooLarge {
        /// Size of the event, in bytes.
        bytes: usize,
    },
    /// The database failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A stored event cannot be read.
    #[error("stream {stream_id}, version {version}: {source}")]
    Unreadable {
        /// Stream id.
        stream_id: StreamId,
        /// Version of the event.
        version: u64,
        /// Why the event cannot be read.
        source: EventReadError,
    },
    /// An event cannot be encoded for storage. Nothing was written.
    #[error(transparent)]
    Unwritable(#[from] EventWriteError),
    /// A key lookup failed.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl From<roentgen_domain::EncodeError> for StoreError {
    fn from(error: roentgen_domain::EncodeError) -> Self {
        Self::Unwritable(error.into())
    }
}

impl StoreError {
    /// Returns whether the cause is a patient key that neither exists nor has a tombstone.
    pub const fn is_missing_key(&self) -> bool {
        matches!(
            self,
            Self::Engine(EngineError::KeyMissing)
                | Self::Keys(KeyError::Missing)
                | Self::Unreadable {
                    source: EventReadError::Seal(SealError::KeyMissing),
                    ..
                }
        )
    }
}

/// Why a call was not attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The append queue is full.
    #[error("the append queue is full")]
    QueueFull,
    /// The append passed its deadline in the queue.
    #[error("timed out in the append queue")]
    Deadline,
    /// The process is shutting down.
    #[error("event log is closing")]
    Closing,
    /// The database cannot be reached.
    #[error("database unavailable")]
    Database,
    /// Other requests of the tenant use up the tenant's share of the database.
    #[error("the tenant's share of the database is used up")]
    Crowded,
}
