//! Between domain events and stored ones.

use roentgen_domain::{DecodeError, Misplaced};

use crate::keys::SealError;

/// Why a stored event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Its shape is not known here, or not as it should be.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It stands where none of its kind can.
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    /// Its sealed part is damaged.
    #[error(transparent)]
    Seal(#[from] SealError),
}
