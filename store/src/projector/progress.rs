//! Reports the progress of the read models to readers that wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::checkpoint::CheckpointAhead;

/// Progress of the read models, for readers that wait for a position.
#[derive(Debug, Clone)]
pub struct ProjectionProgress {
    projected: Arc<watch::Sender<u64>>,
    pub(super) wanted: Arc<watch::Sender<Waiters>>,
    refused: Arc<watch::Sender<Option<CheckpointAhead>>>,
}

/// Positions that readers wait for, with the number of readers.
#[derive(Debug, Default)]
pub(super) struct Waiters(BTreeMap<u64, usize>);

impl Waiters {
    /// Checks whether a reader waits for a position after `position`, up to `upto`.
    pub(super) fn is_any(&self, position: u64, upto: u64) -> bool {
        position < upto && self.0.range(position + 1..=upto).next().is_some()
    }

    fn add(&mut self, position: u64) {
        *self.0.entry(position).or_default() += 1;
    }

    fn remove(&mut self, position: u64) {
        let left = self.0.remove(&position).unwrap_or_default();
        if left > 1 {
            self.0.insert(position, left - 1);
        }
    }
}

/// Registration of one waiting reader; removed on drop.
struct WaiterGuard<'a> {
    wanted: &'a watch::Sender<Waiters>,
    position: u64,
}

impl<'a> WaiterGuard<'a> {
    fn new(wanted: &'a watch::Sender<Waiters>, position: u64) -> Self {
        wanted.send_modify(|waiters| waiters.add(position));
        Self { wanted, position }
    }
}

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        self.wanted.send_if_modified(|waiters| {
            waiters.remove(self.position);
            false
        });
    }
}

impl ProjectionProgress {
    pub(super) fn new() -> Self {
        Self {
            projected: Arc::new(watch::Sender::new(0)),
            wanted: Arc::default(),
            refused: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Returns the last position that the read models have reached.
    pub fn position(&self) -> u64 {
        *self.projected.borrow()
    }

    /// Returns why the projector is halted, if a checkpoint is ahead of the log.
    pub fn halt_reason(&self) -> Option<CheckpointAhead> {
        self.refused.borrow().clone()
    }

    /// Waits until the read models have reached `position`, at most until `deadline`. Returns the position reached.
    pub async fn wait_for(&self, position: u64, deadline: Instant) -> u64 {
        let mut projected = self.projected.subscribe();
        if *projected.borrow() < position {
            let _wants = WaiterGuard::new(&self.wanted, position);
            let reached = projected.wait_for(|projected| *projected >= position);
            let _ = tokio::time::timeout_at(deadline, reached).await;
        }
        self.position()
    }

    /// Waits until a reader waits for a position after `position` that the log has.
    pub(super) async fn wait_for_demand(&self, position: u64, mut head: watch::Receiver<u64>) {
        let mut wanted = self.wanted.subscribe();
        loop {
            let upto = *head.borrow_and_update();
            if wanted.borrow_and_update().is_any(position, upto) {
                return;
            }
            let changed = tokio::select! {
                changed = wanted.changed() => changed,
                changed = head.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Sets or clears the reason why the projector is halted.
    pub(super) fn refuse(&self, refused: Option<CheckpointAhead>) {
        if let Some(said) = refused.as_ref()
            && self.refused.borrow().as_ref() != Some(said)
        {
            tracing::error!(
                event = "projector.halted",
                refused = %said,
                "projector halted: checkpoint ahead of log",
            );
        }
        self.refused.send_replace(refused);
    }

    pub(super) fn set(&self, position: u64) {
        self.projected.send_if_modified(|projected| {
            let moved = *projected != position;
            *projected = position;
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
        let progress = ProjectionProgress::new();
        let head = watch::Sender::new(20);
        progress.set(10);
        let mut wanted = pin!(progress.wait_for_demand(10, head.subscribe()));
        assert!(poll!(&mut wanted).is_pending());
        let deadline = Instant::now() + LONG;
        let mut of_old = pin!(progress.wait_for(10, deadline));
        assert!(poll!(&mut of_old).is_ready());
        assert!(poll!(&mut wanted).is_pending());
        let mut reader = pin!(progress.wait_for(11, deadline));
        assert!(poll!(&mut reader).is_pending());
        assert!(poll!(&mut wanted).is_ready());
        progress.set(11);
        assert!(poll!(&mut reader).is_ready());
    }

    #[tokio::test]
    async fn what_the_log_does_not_have_is_not_wanted() {
        let progress = ProjectionProgress::new();
        let head = watch::Sender::new(20);
        let mut wanted = pin!(progress.wait_for_demand(10, head.subscribe()));
        let mut reader = pin!(progress.wait_for(21, Instant::now() + LONG));
        assert!(poll!(&mut reader).is_pending());
        assert!(poll!(&mut wanted).is_pending());
        head.send_replace(21);
        assert!(poll!(&mut wanted).is_ready());
    }

    #[tokio::test]
    async fn expired_waiter_does_not_hide_others() {
        let progress = ProjectionProgress::new();
        let head = watch::Sender::new(20);
        let in_vain = progress.wait_for(u64::MAX, Instant::now() + LONG);
        let mut in_vain = Box::pin(in_vain);
        assert!(poll!(&mut in_vain).is_pending());
        {
            let mut wanted = pin!(progress.wait_for_demand(10, head.subscribe()));
            let mut reader = pin!(progress.wait_for(11, Instant::now() + LONG));
            assert!(poll!(&mut reader).is_pending());
            assert!(poll!(&mut wanted).is_ready());
        }
        assert!(progress.wanted.borrow().is_any(20, u64::MAX));
        assert!(!progress.wanted.borrow().is_any(10, 20));
        drop(in_vain);
        assert!(!progress.wanted.borrow().is_any(0, u64::MAX));
    }

    #[tokio::test]
    async fn two_who_wait_for_the_same_are_two() {
        let progress = ProjectionProgress::new();
        let mut first = Box::pin(progress.wait_for(5, Instant::now() + LONG));
        let mut second = pin!(progress.wait_for(5, Instant::now() + LONG));
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending());
        drop(first);
        assert!(progress.wanted.borrow().is_any(0, 5));
    }
}
