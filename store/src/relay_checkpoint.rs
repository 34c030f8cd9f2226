//! The checkpoint of a relay: the last event sent out of the system, and its place in the target stream.

use crate::chain::Digest;
use crate::read_model::Checkpoint;

/// The stored checkpoint of a relay, which covers acknowledged events. The relay advances it by compare-and-set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayCheckpoint {
    /// Position of the last acknowledged event; 0 if there is none.
    pub position: u64,
    /// Chain hash of that event.
    pub hash: Digest,
    /// When the target stream was created, in nanoseconds since the Unix epoch, by the clock of its server. A stream
    /// that was deleted and recreated has a different time.
    pub stream_created_ns: i64,
    /// First sequence that the target stream is known to start with.
    pub first_sequence: u64,
    /// Sequence of the event at `position` in the target stream; before the first event, the last sequence found there.
    pub last_sequence: u64,
}

impl RelayCheckpoint {
    /// Returns position and chain hash only.
    pub const fn as_checkpoint(&self) -> Checkpoint {
        Checkpoint {
            position: self.position,
            hash: self.hash,
        }
    }
}
