//! How far a relay is: what of the log has left the house, and where it stands there.

use crate::chain::Digest;
use crate::read_model::Checkpoint;

/// What a relay has had acknowledged, as it is kept. Its relay moves it by compare-and-set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayCheckpoint {
    /// The last event that was acknowledged; 0 where none was.
    pub position: u64,
    /// Its link.
    pub hash: Digest,
    /// When the stream was created by its server's clock, in nanoseconds since the epoch: a stream that was deleted and
    /// made again is another one.
    pub stream_created_ns: i64,
    /// The first sequence that the stream is known to begin with.
    pub first_sequence: u64,
    /// The sequence that the event at `position` has there; what stood there before the first event where there is
    /// none.
    pub last_sequence: u64,
}

impl RelayCheckpoint {
    /// Position and link alone.
    pub const fn as_checkpoint(&self) -> Checkpoint {
        Checkpoint {
            position: self.position,
            hash: self.hash,
        }
    }
}
