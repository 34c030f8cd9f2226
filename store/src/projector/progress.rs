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

    /// Waits until somebody waits for something after `position` that the log has.
    pub(super) async fn wanted_after(&self, position: u64, head: watch::Receiver<u64>) {
        let mut wanted = self.wanted.subscribe();
        let is_there = |wanted: &u64| *wanted > position && *wanted <= *head.borrow();
        let _ = wanted.wait_for(is_there).await;
    }

    pub(super) fn set(&self, position: u64) {
        self.projected.send_if_modified(|it| {
            let moved = *it != position;
            *it = position;
            moved
        });
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::poll;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn events_are_wanted_when_somebody_waits_for_them() {
        let (progress, head) = (Progress::new(), watch::Sender::new(20));
        progress.set(10);
        let mut wanted = pin!(progress.wanted_after(10, head.subscribe()));
        assert!(poll!(&mut wanted).is_pending());
        let deadline = Instant::now() + LONG;
        let mut of_old = pin!(progress.reached(10, deadline));
        assert!(poll!(&mut of_old).is_ready());
        assert!(poll!(&mut wanted).is_pending());
        let mut reader = pin!(progress.reached(11, deadline));
        assert!(poll!(&mut reader).is_pending());
        assert!(poll!(&mut wanted).is_ready());
        progress.set(11);
        assert!(poll!(&mut reader).is_ready());
    }

    #[tokio::test]
    async fn what_the_log_does_not_have_is_not_wanted() {
        let (progress, head) = (Progress::new(), watch::Sender::new(20));
        let mut wanted = pin!(progress.wanted_after(10, head.subscribe()));
        let mut reader = pin!(progress.reached(21, Instant::now() + LONG));
        assert!(poll!(&mut reader).is_pending());
        assert!(poll!(&mut wanted).is_pending());
    }
}
