//! Patient keys and sealed PHI.

/// Why a sealed part cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not the form of a sealed part.
    #[error("a sealed part is out of form")]
    Form,
    /// The key is the right one, and the bytes are not what it sealed.
    #[error("a sealed part was altered")]
    Altered,
}

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The database was first opened with another master key.
    #[error("this database belongs to another master key")]
    OtherMasterKey,
}
