//! The append queue, and the selection of appends for a batch.
//!
//! Every owner has its own queue, and a batch takes appends from all of them in turn. An owner that sends many appends
//! fills only its own queue; appends of the other owners go out with the next batch.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use roentgen_domain::ids::{PatientId, StreamId, TenantId};
use tokio::sync::Notify;

use super::QueuedAppend;
use crate::fair::ShareOwner;
use crate::log::{NewEvent, ReservationKey};

/// Limits of a batch: appends, events, bytes.
const MAX_APPENDS: usize = 256;
const MAX_EVENTS: usize = 2048;
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Maximum number of queued appends examined for one batch. It exceeds [`MAX_APPENDS`], so that many conflicting
/// appends to one stream do not block those behind them.
const MAX_LOOKED_AT: usize = 2 * MAX_APPENDS;

/// Queued appends, until the queue is closed.
#[derive(Debug, Default)]
pub(super) struct WorkerQueue {
    waiting: Mutex<AppendQueue>,
    arrived: Notify,
}

impl WorkerQueue {
    /// Adds an append. Returns it if the queue is closed.
    pub(super) fn push(
        &self,
        party: ShareOwner,
        job: QueuedAppend,
    ) -> Result<(), Box<QueuedAppend>> {
        let mut waiting = self.waiting();
        if waiting.is_closed {
            return Err(Box::new(job));
        }
        waiting.push(party, job);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// Removes and returns the next batch; empty if nothing is queued.
    pub(super) fn next_batch(&self) -> Vec<QueuedAppend> {
        self.waiting().next_batch()
    }

    /// Waits until an append arrives that [`Self::next_batch`] has not seen.
    pub(super) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    pub(super) fn len(&self) -> usize {
        self.waiting().count
    }

    /// Closes the queue to new appends.
    pub(super) fn close(&self) {
        self.waiting().is_closed = true;
    }

    /// Closes the queue and drops the queued appends; their callers receive an unknown outcome.
    pub(super) fn abandon(&self) {
        let abandoned = std::mem::replace(
            &mut *self.waiting(),
            AppendQueue {
                is_closed: true,
                ..AppendQueue::default()
            },
        );
        drop(abandoned);
    }

    fn waiting(&self) -> MutexGuard<'_, AppendQueue> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queued appends of each owner, in order of arrival.
#[derive(Debug, Default)]
struct AppendQueue {
    jobs: HashMap<ShareOwner, VecDeque<QueuedAppend>>,
    /// Owners with queued appends; the first one starts the next batch.
    turns: VecDeque<ShareOwner>,
    count: usize,
    is_closed: bool,
}

impl AppendQueue {
    fn push(&mut self, party: ShareOwner, job: QueuedAppend) {
        let jobs = self.jobs.entry(party).or_default();
        if jobs.is_empty() {
            self.turns.push_back(party);
        }
        jobs.push_back(job);
        self.count += 1;
    }

    /// Removes the next batch, one append per owner in turn. An append that conflicts with any append examined before
    /// it, whether taken or not, keeps its place in the queue.
    fn next_batch(&mut self) -> Vec<QueuedAppend> {
        let mut batch = BatchBuilder::default();
        let mut left: HashMap<ShareOwner, VecDeque<QueuedAppend>> = HashMap::new();
        let mut looked_at = 0;
        let mut turns = self.turns.clone();
        while let Some(party) = turns.pop_front() {
            if looked_at == MAX_LOOKED_AT || batch.is_full() {
                break;
            }
            let next = self.jobs.get_mut(&party).and_then(VecDeque::pop_front);
            let Some(job) = next else { continue };
            looked_at += 1;
            if let Some(job) = batch.offer(job) {
                left.entry(party).or_default().push_back(job);
            }
            turns.push_back(party);
        }
        self.count -= batch.taken.len();
        self.put_back(left);
        batch.taken
    }

    fn put_back(&mut self, left: HashMap<ShareOwner, VecDeque<QueuedAppend>>) {
        for (party, mut before) in left {
            let behind = self.jobs.entry(party).or_default();
            before.append(behind);
            *behind = before;
        }
        self.jobs.retain(|_, jobs| !jobs.is_empty());
        if let Some(first) = self.turns.pop_front() {
            self.turns.push_back(first);
        }
        let jobs = &self.jobs;
        self.turns.retain(|party| jobs.contains_key(party));
    }
}

/// A batch being built.
#[derive(Default)]
struct BatchBuilder {
    taken: Vec<QueuedAppend>,
    touched: BatchFootprint,
    events: usize,
    bytes: usize,
}

impl BatchBuilder {
    fn is_full(&self) -> bool {
        self.taken.len() >= MAX_APPENDS
    }

    /// Adds the append to the batch, or returns it if it conflicts or does not fit.
    fn offer(&mut self, job: QueuedAppend) -> Option<QueuedAppend> {
        let append = &job.prepared.append;
        let events = self.events + append.events.len();
        let bytes = self.bytes + append.events.iter().map(NewEvent::size).sum::<usize>();
        let fits = self.taken.is_empty() || (events <= MAX_EVENTS && bytes <= MAX_BYTES);
        let clashes = self.touched.conflicts_with(&job);
        self.touched.add(&job);
        if clashes || !fits {
            return Some(job);
        }
        self.events = events;
        self.bytes = bytes;
        self.taken.push(job);
        None
    }
}

/// Streams written, streams checked, keys reserved and patients of new keys in the appends examined so far.
#[derive(Default)]
struct BatchFootprint {
    written: HashSet<StreamId>,
    asserted: HashSet<StreamId>,
    claims: HashSet<ReservationKey>,
    patients: HashSet<(TenantId, PatientId)>,
}

impl BatchFootprint {
    fn conflicts_with(&self, job: &QueuedAppend) -> bool {
        let append = &job.prepared.append;
        let mut written = append.events.iter().map(|event| event.stream_id);
        let mut asserted = append.checks.iter().map(|check| check.stream_id);
        let mut claims = append.claims.iter().map(|claim| claim.key);
        let mut patients = append.patient_keys.iter();
        written.any(|id| self.written.contains(&id) || self.asserted.contains(&id))
            || asserted.any(|id| self.written.contains(&id))
            || claims.any(|key| self.claims.contains(&key))
            || patients.any(|key| self.patients.contains(&(key.tenant_id, key.patient_id)))
    }

    fn add(&mut self, job: &QueuedAppend) {
        let append = &job.prepared.append;
        let written = append.events.iter().map(|event| event.stream_id);
        self.written.extend(written);
        let asserted = append.checks.iter().map(|check| check.stream_id);
        self.asserted.extend(asserted);
        self.claims
            .extend(append.claims.iter().map(|claim| claim.key));
        let patients = append.patient_keys.iter();
        self.patients
            .extend(patients.map(|key| (key.tenant_id, key.patient_id)));
    }
}

#[cfg(test)]
mod tests;
