//! Old partitions of the log outside the log: what was archived, and what stays although it is old.

use crate::chain::Digest;

/// A stretch of the log: `first_position <= position < past_position`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPartition {
    /// Its first position; 0, where nothing stands, in the log's first partition.
    pub first_position: u64,
    /// The first position after it.
    pub past_position: u64,
}

impl LogPartition {
    /// The position before its first event: where a reader of it starts.
    pub const fn after(self) -> u64 {
        self.first_position.saturating_sub(1)
    }

    /// The position of its last event.
    pub const fn last(self) -> u64 {
        self.past_position.saturating_sub(1)
    }
}

/// A partition that is a file now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedPartition {
    /// Which.
    pub partition: LogPartition,
    /// The link of its last event, from which the chain goes on in the log.
    pub last_hash: Digest,
    /// What the file is called.
    pub file_name: String,
    /// SHA-256 of the file.
    pub file_sha256: Digest,
}
