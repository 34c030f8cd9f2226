//! Commands on one stream queue in the node rather than race in the database.

use std::hash::{BuildHasher, RandomState};

use roentgen_domain::ids::StreamId;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

/// A fixed number of locks, shared by the streams that hash to them: bounded memory, and a wait now and then that need
/// not have been.
#[derive(Debug)]
pub(crate) struct StreamLocks {
    stripes: Vec<Mutex<()>>,
    hasher: RandomState,
}

const STRIPES: usize = 4096;

impl Default for StreamLocks {
    fn default() -> Self {
        let stripes = std::iter::repeat_with(Mutex::default)
            .take(STRIPES)
            .collect();
        Self {
            stripes,
            hasher: RandomState::new(),
        }
    }
}

impl StreamLocks {
    /// Waits for the stream's lock; `None` where the deadline came first.
    pub(crate) async fn lock(
        &self,
        stream_id: StreamId,
        deadline: Instant,
    ) -> Option<MutexGuard<'_, ()>> {
        let place = self.hasher.hash_one(stream_id) % STRIPES as u64;
        let stripe = self.stripes.get(usize::try_from(place).ok()?)?;
        timeout_at(deadline, stripe.lock()).await.ok()
    }
}
