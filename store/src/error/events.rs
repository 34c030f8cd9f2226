//! Errors of stored events.

use roentgen_domain::{DecodeError, EncodeError, UnexpectedEvent};

use super::SealError;

/// Why a stored event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventReadError {
    /// Its event type or schema version is unknown to this release, or its data is malformed.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is not valid in the state of its stream.
    #[error(transparent)]
    Misplaced(#[from] UnexpectedEvent),
    /// Its sealed PHI cannot be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Why an event cannot be stored. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventWriteError {
    /// Its data cannot be serialised.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// It has PHI, and there is no key to encrypt the PHI with.
    #[error("{event_type}: PHI without a patient key")]
    KeyMissing {
        /// Frozen name of the event type.
        event_type: &'static str,
    },
}
