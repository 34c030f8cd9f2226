//! Per-stream queues: commands on one stream wait in the node instead of causing version conflicts in the database.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use roentgen_domain::ids::{StreamId, TenantId};
use roentgen_store::fair::{FairShare, Limits, Share, ShareOwner};
use tokio::time::Instant;

/// Limits of a queue: one command at a time. The system has its own share, so that many callers on one stream do not
/// block policies.
const ONE_AT_A_TIME: Limits = Limits {
    shared: 1,
    reserve: 0,
    little: 0,
    waiting: 512,
};

/// Tenant and stream. The same stream id of another tenant has a separate queue.
type LockKey = (TenantId, StreamId);

/// Locks of the streams that commands are using. A lock exists while a command holds it or waits for it.
#[derive(Debug, Default)]
pub(crate) struct StreamLocks(Mutex<HashMap<LockKey, Lock>>);

#[derive(Debug)]
struct Lock {
    queue: FairShare,
    /// Number of commands that hold the lock or wait for it.
    users: usize,
}

/// Guard of a stream's lock, which is released on drop.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    /// Share of the queue. It is dropped first, so that the next command continues.
    turn: Option<Share>,
    locks: &'a StreamLocks,
    key: LockKey,
}

impl StreamLocks {
    /// Waits for the lock of the tenant's stream. Returns `None` if the deadline passes, or if the queue is full.
    pub(crate) async fn lock(
        &self,
        party: ShareOwner,
        key: LockKey,
        deadline: Instant,
    ) -> Option<Locked<'_>> {
        let queue = self.enter(key);
        let mut locked = Locked {
            turn: None,
            locks: self,
            key,
        };
        locked.turn = Some(queue.enter(party, 1, deadline).await.ok()?);
        Some(locked)
    }

    fn enter(&self, key: LockKey) -> FairShare {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = locks.entry(key).or_insert_with(|| Lock {
            queue: FairShare::new("stream_lock", ONE_AT_A_TIME),
            users: 0,
        });
        lock.users += 1;
        lock.queue.clone()
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.turn = None;
        let mut locks = self.locks.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lock) = locks.get_mut(&self.key) else {
            return;
        };
        lock.users -= 1;
        if lock.users == 0 {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::poll;
    use uuid::Uuid;

    use super::*;

    fn stream() -> StreamId {
        Uuid::from_u128(9).into()
    }

    fn key(tenant: u128) -> LockKey {
        (Uuid::from_u128(tenant).into(), stream())
    }

    fn party(tenant: u128) -> ShareOwner {
        ShareOwner::Tenant(key(tenant).0)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[tokio::test]
    async fn foreign_flood_on_a_stream_does_not_hold_its_tenants_lock() {
        let locks = StreamLocks::default();
        let held = locks.lock(party(1), key(1), later()).await;
        let mut flood: Vec<_> = (0..200)
            .map(|_| Box::pin(locks.lock(party(1), key(1), later())))
            .collect();
        for waiting in &mut flood {
            assert!(poll!(waiting).is_pending());
        }
        let mut own = Box::pin(locks.lock(party(2), key(2), later()));
        assert!(
            poll!(&mut own).is_ready(),
            "another tenant's queue is not its own"
        );
        drop((held, flood, own));
        assert!(
            locks.0.lock().unwrap().is_empty(),
            "a lock without users is forgotten"
        );
    }

    #[tokio::test]
    async fn one_command_at_a_time_holds_a_stream() {
        let locks = StreamLocks::default();
        let first = locks.lock(party(1), key(1), later()).await;
        assert!(first.is_some());
        let late = locks.lock(party(1), key(1), Instant::now()).await;
        assert!(late.is_none());
        drop(first);
        assert!(locks.lock(party(1), key(1), later()).await.is_some());
    }

    #[tokio::test]
    async fn system_has_its_turn_before_a_crowd_of_callers() {
        let locks = StreamLocks::default();
        let held = locks.lock(party(1), key(1), later()).await;
        let mut crowd: Vec<_> = (0..200)
            .map(|_| Box::pin(locks.lock(party(1), key(1), later())))
            .collect();
        for waiting in &mut crowd {
            assert!(poll!(waiting).is_pending());
        }
        let mut system = Box::pin(locks.lock(ShareOwner::System, key(1), later()));
        assert!(poll!(&mut system).is_pending());
        drop(held);
        let mut turns = 0;
        while poll!(&mut system).is_pending() {
            let next = crowd.remove(0).await;
            assert!(next.is_some());
            turns += 1;
        }
        assert!(turns <= 1, "{turns} of the crowd went before the system");
    }

    #[tokio::test]
    async fn only_so_many_callers_wait_for_one_stream() {
        let locks = StreamLocks::default();
        let _held = locks.lock(party(1), key(1), later()).await;
        let mut crowd: Vec<_> = (0..ONE_AT_A_TIME.waiting)
            .map(|_| Box::pin(locks.lock(party(1), key(1), later())))
            .collect();
        for waiting in &mut crowd {
            assert!(poll!(waiting).is_pending());
        }
        assert!(locks.lock(party(1), key(1), later()).await.is_none());
    }
}
