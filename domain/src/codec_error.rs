//! Errors of encoding events for the log, and of decoding them.

/// Event data that cannot be serialised. The content is withheld because it may be PHI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event_type}: event data cannot be serialised")]
pub struct EncodeError {
    /// The frozen name of the event type, or of the other item to be stored.
    pub event_type: &'static str,
}

/// A stored event that this release cannot read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// An unknown event type, or a schema version from a later release.
    #[error("unknown event {name}, schema version {schema_version}")]
    Unknown {
        /// The wire name.
        name: String,
        /// The stored schema version.
        schema_version: u32,
    },
    /// The bytes do not match the schema. Their content is withheld because it may be PHI.
    #[error("{name}: malformed payload (line {line}, column {column})")]
    Malformed {
        /// The wire name.
        name: &'static str,
        /// Line in the stored JSON.
        line: usize,
        /// Column in the stored JSON.
        column: usize,
    },
}

impl DecodeError {
    /// Keeps line and column of a JSON error and drops its text, which may contain PHI.
    pub fn malformed(name: &'static str, error: &serde_json::Error) -> Self {
        Self::Malformed {
            name,
            line: error.line(),
            column: error.column(),
        }
    }
}
