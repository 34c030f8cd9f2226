//! Types for archived partitions of the log: partitions that were moved from the database into files.

use crate::chain::Digest;

/// A partition of the log: the positions `first_position <= position < past_position`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPartition {
    /// First position of the partition. In the log's first partition it is 0, a position without an event.
    pub first_position: u64,
    /// First position after the partition.
    pub past_position: u64,
}

impl LogPartition {
    /// Returns the position before the partition's first event; reads of the partition start after it.
    pub const fn after(self) -> u64 {
        self.first_position.saturating_sub(1)
    }

    /// Returns the position of the partition's last event.
    pub const fn last(self) -> u64 {
        self.past_position.saturating_sub(1)
    }
}

/// A partition that was moved to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedPartition {
    /// The archived partition.
    pub partition: LogPartition,
    /// Chain hash of the partition's last event; the hash chain continues from it in the log.
    pub last_hash: Digest,
    /// Name of the archive file.
    pub file_name: String,
    /// SHA-256 of the archive file.
    pub file_sha256: Digest,
}
