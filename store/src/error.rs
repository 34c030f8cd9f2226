//! What goes wrong at rest.

use crate::log::HeldReservation;
use roentgen_domain::ids::StreamId;

/// An error with all its sources, for the log.
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, error| format!("{text}: {error}"))
}

/// Why an engine's call failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The connection broke: whether the call took effect is not known.
    #[error("database connection lost")]
    ConnectionLost(#[source] sqlx::Error),
    /// Not now: a time-out, a lock, a shutdown, no connection. Nothing took effect.
    #[error("database unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// The database refuses this statement and will again. Nothing took effect.
    #[error("database rejected the statement")]
    Rejected(#[source] sqlx::Error),
    /// What is asked for is in an archive, or begins there.
    #[error("positions below {past_position} are archived")]
    Archived {
        /// The first position that is not archived.
        past_position: u64,
    },
    /// What is stored is not what can be stored.
    #[error("corrupt stored data: {0}")]
    Corrupt(#[from] Corruption),
    /// The read model of this name is in the making, and there is none before it.
    #[error("read model {0} is being built")]
    ReadModelNotReady(&'static str),
    /// A patient has a registered key that is neither there nor has a tombstone. Nothing took effect.
    #[error("a patient's key is missing")]
    KeyMissing,
}

/// What is wrong with stored data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// A column holds a value its type does not allow.
    #[error("column {column} at position {position}")]
    Column {
        /// Its name.
        column: &'static str,
        /// Where, or 0 outside the log.
        position: u64,
    },
    /// An answer of the append function has another shape than it promises.
    #[error("unexpected result from log_append")]
    AppendResult,
}

/// Why a store's call failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A stream was not at the expected version. Nothing was written.
    #[error("stream {stream_id} is at version {actual}")]
    Conflict {
        /// Which stream.
        stream_id: StreamId,
        /// The version it is at.
        actual: u64,
    },
    /// A claim was taken before. Nothing was written.
    #[error("reservation key already taken")]
    KeyTaken(HeldReservation),
    /// A patient got a key in the meantime. Nothing was written.
    #[error("patient key already exists")]
    PatientKeyExists,
    /// The queue is full, the deadline passed before sending, or database unavailable. Nothing was written.
    #[error("not available: {0}")]
    Unavailable(Unavailable),
    /// The batch was sent, its answer lost, and the deadline passed before the outcome could be found out.
    #[error("append outcome unknown")]
    OutcomeUnknown,
    /// An event is longer than [`MAX_EVENT_BYTES`](crate::log::MAX_EVENT_BYTES).
    #[error("event of {bytes} bytes exceeds the limit of 262144 bytes")]
    EventTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The database's own failure.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A stored event cannot be read.
    #[error("stream {stream_id}, version {version}: {source}")]
    Unreadable {
        /// Which stream.
        stream_id: StreamId,
        /// Which event.
        version: u64,
        /// Why.
        source: crate::codec::EventReadError,
    },
    /// An event cannot be stored as it is. Nothing was written.
    #[error(transparent)]
    Unwritable(#[from] crate::codec::EventWriteError),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] crate::keys::KeyError),
}

impl From<roentgen_domain::EncodeError> for StoreError {
    fn from(error: roentgen_domain::EncodeError) -> Self {
        Self::Unwritable(error.into())
    }
}

impl StoreError {
    /// Whether it is about a patient's key that is neither there nor has a tombstone.
    pub const fn is_missing_key(&self) -> bool {
        use crate::codec::EventReadError;
        use crate::keys::{KeyError, SealError};
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

/// Why an append was not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Too much waits already.
    #[error("the append queue is full")]
    QueueFull,
    /// It waited past its deadline.
    #[error("timed out in the append queue")]
    Deadline,
    /// The process is stopping.
    #[error("event log is closing")]
    Closing,
    /// The database cannot be reached.
    #[error("database unavailable")]
    Database,
    /// The tenant's other requests take its share of the database.
    #[error("the tenant's share of the database is used up")]
    Crowded,
}
