//! How far the read models are.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::checkpoint::CheckpointAhead;

/// How far the read models are, for those who wait for them.
#[derive(Debug, Clone)]
pub struct Progress {
    projected: Arc<watch::Sender<u64>>,
    pub(super) wanted: Arc<watch::Sender<u64>>,
    pub(super) refused: Arc<watch::Sender<Option<CheckpointAhead>>>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            projected: Arc::new(watch::Sender::new(0)),
            wanted: Arc::new(watch::Sender::new(0)),
            refused: Arc::new(watch::Sender::new(None)),
        }
    }

    /// The last position that the read models show.
    pub fn position(&self) -> u64 {
        *self.projected.borrow()
    }

    /// Why the read models stand still, where the log does not fit them.
    pub fn refused(&self) -> Option<CheckpointAhead> {
        self.refused.borrow().clone()
    }

    /// Waits until the read models show `position`, at most until `deadline`. Returns what they show then.
    pub async fn reached(&self, position: u64, deadline: Instant) -> u64 {
        let mut projected = self.projected.subscribe();
        if *projected.borrow() < position {
            self.wanted.send_if_modified(|it| {
                let higher = position > *it;
                *it = position.max(*it);
                higher
            });
            let reached = projected.wait_for(|it| *it >= position);
            let _ = tokio::time::timeout_at(deadline, reached).await;
        }
        self.position()
    }

    pub(super) fn set(&self, position: u64) {
        self.projected.send_if_modified(|it| {
            let moved = *it != position;
            *it = position;
            moved
        });
    }
}
