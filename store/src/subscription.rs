//! Durable subscriptions: events of selected types, in position order, from a checkpoint on.
//!
//! The leader reads a subscription. It takes events from this node's appender in memory, and other nodes' events from
//! the database. An event of another type costs only a comparison of its type. Policy memory is stored together with
//! the checkpoint, by compare-and-set: a paused holder that resumes finds its checkpoint superseded and changes
//! nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::checkpoint::{
    CheckpointAhead, checkpoint_after_page, checkpoint_at, checkpoint_mismatch,
};
use crate::engine::SubscriptionStore;
use crate::error::EngineError;
use crate::log::{LogFilter, StoredEvent};
use crate::policy_memory::{MemoryBatch, MemoryEntry, MemoryKey, RejectedEffect};
use crate::read_model::Checkpoint;
use crate::recent_events::RecentEvents;

/// Maximum number of events per batch: from memory, and from the database.
const BATCH_LIVE: usize = 1000;
const BATCH_CATCH_UP: u32 = 1000;
/// How often the log is polled if nothing signals new events. The projector on the same node polls more often, and
/// signals them.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Interval at which the checkpoint advances while there are no events of the subscribed types.
const IDLE_CHECKPOINT_INTERVAL: Duration = Duration::from_millis(500);
/// How long new events are batched, counted from the last read. A batch of 1 event costs nearly as much as a batch of
/// 100.
const BATCH_DELAY: Duration = Duration::from_millis(10);

/// A subscription as its reader holds it.
#[derive(Debug)]
pub struct Subscription {
    store: Arc<dyn SubscriptionStore>,
    tail: Arc<RecentEvents>,
    name: &'static str,
    types: HashSet<&'static str>,
    /// Stored checkpoint, as far as this reader knows.
    saved: Checkpoint,
    /// Checkpoint up to which the log was read.
    seen: Checkpoint,
    /// When the checkpoint was last advanced.
    moved_at: Instant,
    /// When the database was last polled.
    looked_at: Option<Instant>,
    /// End of the batching delay, if the last events came from this node's memory.
    gathers_until: Option<Instant>,
}

/// The changes that a reader made for the events since the checkpoint.
#[derive(Debug, Default)]
pub struct SubscriptionChanges {
    /// New and changed values; each id once.
    pub kept: Vec<MemoryEntry>,
    /// Ids of values to delete.
    pub forgotten: Vec<Uuid>,
    /// Permanently rejected effects.
    pub refusals: Vec<RejectedEffect>,
}

impl SubscriptionChanges {
    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.forgotten.is_empty() && self.refusals.is_empty()
    }
}

impl Subscription {
    /// Resumes at the stored checkpoint, or returns how the checkpoint is ahead of the log.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails.
    pub async fn resume(
        store: Arc<dyn SubscriptionStore>,
        tail: Arc<RecentEvents>,
        name: &'static str,
        types: HashSet<&'static str>,
    ) -> Result<Result<Self, CheckpointAhead>, EngineError> {
        let saved = store.checkpoint(name).await?;
        if let Some(refused) = checkpoint_mismatch(&*store, name, saved).await? {
            return Ok(Err(refused));
        }
        Ok(Ok(Self {
            store,
            tail,
            name,
            types,
            saved,
            seen: saved,
            moved_at: Instant::now(),
            looked_at: None,
            gathers_until: None,
        }))
    }

    /// Returns the position up to which the log was read.
    pub const fn position(&self) -> u64 {
        self.seen.position
    }

    /// Returns the position of the stored checkpoint.
    pub const fn checkpoint(&self) -> u64 {
        self.saved.position
    }

    /// Returns the next events of the subscribed types; none at the end of the log, or after a range without any.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails; the position does not change.
    pub async fn next(&mut self) -> Result<Vec<Arc<StoredEvent>>, EngineError> {
        let after = self.seen.position;
        self.gathers_until = None;
        let Some(mut events) = self.tail.after(after, BATCH_LIVE) else {
            return if self.is_probably_at_end(after) {
                Ok(Vec::new())
            } else {
                self.next_from_database(after).await
            };
        };
        if let Some(last) = events.last() {
            self.seen = checkpoint_at(last);
        }
        if events.len() < BATCH_LIVE {
            self.gathers_until = Some(Instant::now() + BATCH_DELAY);
        }
        events.retain(|event| self.types.contains(&*event.event_type));
        Ok(events)
    }

    /// Returns whether no new events were signalled, and the database was polled less than 250 ms ago.
    fn is_probably_at_end(&self, after: u64) -> bool {
        let looked = self
            .looked_at
            .is_some_and(|instant| instant.elapsed() < POLL_INTERVAL);
        looked && *self.tail.head().borrow() <= after
    }

    async fn next_from_database(
        &mut self,
        after: u64,
    ) -> Result<Vec<Arc<StoredEvent>>, EngineError> {
        let filter = LogFilter {
            event_types: self.types.iter().map(|text| (*text).to_owned()).collect(),
            ..LogFilter::default()
        };
        self.looked_at = Some(Instant::now());
        let page = self.store.read_log(after, BATCH_CATCH_UP, &filter).await?;
        if page.scanned_to <= after {
            return Ok(Vec::new());
        }
        self.tail.observe(page.scanned_to);
        self.seen = match checkpoint_after_page(&*self.store, &page).await? {
            Some(place) => place,
            None => return Ok(Vec::new()),
        };
        Ok(page.events.into_iter().map(Arc::new).collect())
    }

    /// Waits for the end of the batching delay, if the last events came from this node's memory. Events caused by the
    /// last ones wait here too before they are read.
    pub async fn delay_batch(&self) {
        if let Some(until) = self.gathers_until {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Waits for something to read, at most until `until`.
    pub async fn wait(&self, until: Option<Instant>) {
        let mut head = self.tail.head();
        let poll = Instant::now() + POLL_INTERVAL;
        let until = until.map_or(poll, |instant| instant.min(poll));
        tokio::select! {
            _ = head.wait_for(|head| *head > self.seen.position) => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    /// Returns the memory under these keys as of the checkpoint; `None` if another reader has advanced it.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails.
    pub async fn memory(
        &self,
        keys: &[MemoryKey],
    ) -> Result<Option<Vec<MemoryEntry>>, EngineError> {
        if keys.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let ids: Vec<Uuid> = keys.iter().map(MemoryKey::id).collect();
        let memories = self.store.policy_memory(&ids).await?;
        // The order matters: the memory belongs to the checkpoint only if the checkpoint is unchanged after the memory
        // was read.
        let checkpoint = self.store.checkpoint(self.name).await?;
        Ok((checkpoint == self.saved).then_some(memories))
    }

    /// Writes changes and advances the checkpoint to the position read. Returns `false` and writes nothing if another
    /// reader has advanced it.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails; after [`EngineError::ConnectionLost`] the outcome is unknown.
    pub async fn commit(&mut self, changes: SubscriptionChanges) -> Result<bool, EngineError> {
        let batch = MemoryBatch {
            subscription: self.name,
            from: self.saved,
            to: self.seen,
            kept: changes.kept,
            forgotten: changes.forgotten,
            refusals: changes.refusals,
        };
        let moved = self.store.write_policy_memory(&batch).await?;
        if moved {
            self.saved = self.seen;
            self.moved_at = Instant::now();
        }
        Ok(moved)
    }

    /// Advances the checkpoint over a range without subscribed events, at most twice per second.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`].
    pub async fn commit_idle(&mut self) -> Result<bool, EngineError> {
        let is_due = self.moved_at.elapsed() >= IDLE_CHECKPOINT_INTERVAL;
        if self.seen == self.saved || !is_due {
            return Ok(true);
        }
        self.commit(SubscriptionChanges::default()).await
    }

    /// Writes changes if there are any; otherwise the checkpoint does not advance.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`].
    pub async fn commit_if_changed(
        &mut self,
        changes: SubscriptionChanges,
    ) -> Result<bool, EngineError> {
        if changes.is_empty() {
            return Ok(true);
        }
        self.commit(changes).await
    }
}
