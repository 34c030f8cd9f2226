//! What waits, and which of it can go out together.

use std::collections::{HashSet, VecDeque};

use roentgen_domain::ids::{PatientId, StreamId, TenantId};

use super::Job;
use crate::log::{ClaimKey, NewEvent};

/// A batch holds at most this much.
const MAX_APPENDS: usize = 256;
const MAX_EVENTS: usize = 2048;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Jobs in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<Job>);

impl Waiting {
    pub(super) fn push(&mut self, job: Job) {
        self.0.push_back(job);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Twice a batch may wait here, so that a crowd on one stream leaves room for the others behind it.
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < 2 * MAX_APPENDS
    }

    /// Takes the next batch. Whoever clashes with a job before it, taken or left, is left in its place.
    pub(super) fn next_batch(&mut self) -> Vec<Job> {
        let mut taken = Vec::new();
        let mut left = VecDeque::new();
        let (mut touched, mut events, mut bytes) = (Touched::default(), 0, 0);
        for job in self.0.drain(..) {
            let more_bytes: usize = job.prepared.append.events.iter().map(NewEvent::size).sum();
            let more_events = job.prepared.append.events.len();
            let fits = taken.is_empty()
                || (taken.len() < MAX_APPENDS
                    && events + more_events <= MAX_EVENTS
                    && bytes + more_bytes <= MAX_BYTES);
            if touched.clashes(&job) || !fits {
                touched.add(&job);
                left.push_back(job);
            } else {
                touched.add(&job);
                events += more_events;
                bytes += more_bytes;
                taken.push(job);
            }
        }
        self.0 = left;
        taken
    }
}

/// What the jobs looked at so far write, assert and claim.
#[derive(Default)]
struct Touched {
    written: HashSet<StreamId>,
    asserted: HashSet<StreamId>,
    claims: HashSet<ClaimKey>,
    patients: HashSet<(TenantId, PatientId)>,
}

impl Touched {
    fn clashes(&self, job: &Job) -> bool {
        let append = &job.prepared.append;
        append
            .events
            .iter()
            .any(|it| self.written.contains(&it.stream_id) || self.asserted.contains(&it.stream_id))
            || append
                .checks
                .iter()
                .any(|it| self.written.contains(&it.stream_id))
            || append.claims.iter().any(|it| self.claims.contains(&it.key))
            || append
                .patient_keys
                .iter()
                .any(|it| self.patients.contains(&(it.tenant_id, it.patient_id)))
    }

    fn add(&mut self, job: &Job) {
        let append = &job.prepared.append;
        self.written
            .extend(append.events.iter().map(|it| it.stream_id));
        self.asserted
            .extend(append.checks.iter().map(|it| it.stream_id));
        self.claims.extend(append.claims.iter().map(|it| it.key));
        self.patients.extend(
            append
                .patient_keys
                .iter()
                .map(|it| (it.tenant_id, it.patient_id)),
        );
    }
}
