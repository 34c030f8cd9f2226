//! The group-committing appender: one supervised task a node that turns whatever waits into one call of the database.
//!
//! Appends come through a queue that is bounded in bytes, each with a deadline; every party has its share of the queue
//! and its turns in a batch. A batch is what waits, without artificial delay; within it no written stream and no claim key
//! stands twice, so that clashes go to the next batch in order. A broken connection makes the batch go out again with the same event ids until its outcome is known;
//! a refused statement makes it go out in halves, so that only the guilty append fails.

mod accepted;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use roentgen_domain::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chain;
use crate::engine::Engine;
use crate::error::{EngineError, StoreError, Unavailable, causes};
use crate::fair::{FairShare, Limits, Party, Share};
use crate::lifecycle::Tasks;
use crate::log::{
    Append, Appended, Batch, BatchOutcome, Head, MAX_EVENT_BYTES, NewEvent, Prepared, StoredEvent,
    Verdict,
};
use crate::tail::Tail;
pub use accepted::Accepted;
use queue::Queue;

/// How much may wait, in bytes: of everybody's, and beyond it of parties with little in the queue.
const ROOM: Limits = Limits {
    shared: 64 * 1024 * 1024,
    reserve: 16 * 1024 * 1024,
    little: 1024 * 1024,
    waiting: 0,
};
/// What an append counts for beside its events, so that the queue is bounded in count, too: 16,384 appends without events.
const APPEND_BYTES: usize = 4096;
/// The pause before a batch goes out again, doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(320);

/// Appends to the log. Clones share the queue.
#[derive(Debug, Clone)]
pub struct Appender {
    queue: Arc<Queue>,
    room: FairShare,
    accepted: Accepted,
}

/// An append on its way.
#[derive(Debug)]
struct Job {
    prepared: Prepared,
    deadline: Instant,
    reply: oneshot::Sender<Result<Appended, StoreError>>,
    _room: Share,
}

impl Job {
    fn answer(self, answer: Result<Appended, StoreError>) {
        let _ = self.reply.send(answer);
    }
}

impl Appender {
    /// Starts the task. What it writes goes into `tail`, which knows by now where the log ends.
    pub fn start(engine: Arc<dyn Engine>, tail: Arc<Tail>, tasks: &Tasks) -> Self {
        let queue = Arc::new(Queue::default());
        let accepted = Accepted::since(*tail.head().borrow());
        let worker = Worker {
            engine,
            tail,
            queue: Arc::clone(&queue),
            accepted: accepted.clone(),
            stop: tasks.token(),
        };
        tasks.spawn("appender", supervise(worker, tasks.clone()));
        Self {
            queue,
            room: FairShare::new("append_queue", ROOM),
            accepted,
        }
    }

    /// What this node wrote last, by tenant.
    pub const fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// Appends, in the party's turn. An `Ok` is durable.
    ///
    /// # Errors
    /// After `OutcomeUnknown` it may have been written; after any other error nothing was.
    pub async fn append(
        &self,
        party: Party,
        append: Append,
        deadline: Instant,
    ) -> Result<Appended, StoreError> {
        if let Some(bytes) = append
            .events
            .iter()
            .map(NewEvent::size)
            .find(|it| *it > MAX_EVENT_BYTES)
        {
            return Err(StoreError::EventTooLarge { bytes });
        }
        let leaves = append.events.iter().map(NewEvent::leaf).collect();
        let room = self.reserve(party, &append)?;
        let (reply, answer) = oneshot::channel();
        let job = Job {
            prepared: Prepared { append, leaves },
            deadline,
            reply,
            _room: room,
        };
        let pushed = self.queue.push(party, job);
        pushed.map_err(|_closed| StoreError::Unavailable(Unavailable::Closing))?;
        answer.await.unwrap_or(Err(StoreError::OutcomeUnknown))
    }

    fn reserve(&self, party: Party, append: &Append) -> Result<Share, StoreError> {
        let bytes = append.events.iter().map(NewEvent::size).sum::<usize>();
        let room = self.room.try_enter(party, bytes + APPEND_BYTES);
        room.map_err(|_crowded| StoreError::Unavailable(Unavailable::QueueFull))
    }
}

/// Runs the worker again where it panicked; who was in the batch in hand is told that the outcome is unknown.
async fn supervise(worker: Worker, tasks: Tasks) {
    let _abandoned = AbandonedAtLast(Arc::clone(&worker.queue));
    loop {
        let worker = worker.clone();
        let run = tasks.run(async move { worker.run().await });
        match run.await {
            Ok(()) => return,
            Err(error) => tracing::error!(%error, "the appender was restarted"),
        }
    }
}

/// Whatever ends the appender's task, nobody waits for it afterwards.
struct AbandonedAtLast(Arc<Queue>);

impl Drop for AbandonedAtLast {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[derive(Debug, Clone)]
struct Worker {
    engine: Arc<dyn Engine>,
    tail: Arc<Tail>,
    queue: Arc<Queue>,
    accepted: Accepted,
    stop: CancellationToken,
}

impl Worker {
    /// Until the process stops and the queue is empty.
    async fn run(&self) {
        loop {
            let is_closed = self.stop.is_cancelled();
            if is_closed {
                self.queue.close();
            }
            let batch = self.queue.next_batch();
            if batch.is_empty() {
                if is_closed {
                    return;
                }
                tokio::select! {
                    () = self.queue.arrival() => {}
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            metrics::gauge!("roentgen_append_queue").set(self.queue.len() as f64);
            self.write(batch).await;
        }
    }

    /// Sends a batch, in halves where the database refuses it, and answers everyone in it.
    async fn write(&self, jobs: Vec<Job>) {
        let mut parts = vec![(jobs, false)];
        while let Some((part, resend)) = parts.pop() {
            let mut live = answer_the_late(part, resend);
            if live.is_empty() {
                continue;
            }
            match self.send(&live, resend).await {
                Sent::Done(outcome) => self.settle(live, &outcome),
                Sent::Refused { error, .. } if live.len() == 1 => {
                    if let Some(guilty) = live.pop() {
                        guilty.answer(Err(StoreError::Engine(error)));
                    }
                }
                Sent::Refused { resend, .. } => {
                    let second = live.split_off(live.len() / 2);
                    parts.extend([(second, resend), (live, resend)]);
                }
                Sent::GaveUp { unknown } => {
                    for job in live {
                        job.answer(Err(match unknown {
                            true => StoreError::OutcomeUnknown,
                            false => StoreError::Unavailable(Unavailable::Database),
                        }));
                    }
                }
            }
        }
    }

    /// Sends until the outcome is known or the last deadline has passed; `resend` where an earlier sending may have been
    /// committed.
    async fn send(&self, jobs: &[Job], resend: bool) -> Sent {
        let appends: Vec<&Prepared> = jobs.iter().map(|it| &it.prepared).collect();
        let Some(deadline) = jobs.iter().map(|it| it.deadline).max() else {
            return Sent::GaveUp { unknown: resend };
        };
        let mut batch = Batch { appends, resend };
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            let sent = tokio::time::timeout_at(deadline, self.engine.append(&batch)).await;
            metrics::histogram!("roentgen_append_seconds").record(started.elapsed().as_secs_f64());
            match sent {
                Ok(Ok(outcome)) => {
                    metrics::histogram!("roentgen_append_batch_size").record(jobs.len() as f64);
                    return Sent::Done(outcome);
                }
                Ok(Err(EngineError::Broken(error))) => {
                    let error = causes(&error);
                    tracing::warn!(%error, appends = jobs.len(), "the append's answer was lost; asking again");
                    batch.resend = true;
                }
                Ok(Err(EngineError::Unavailable(error))) => {
                    let error = causes(&error);
                    tracing::warn!(%error, appends = jobs.len(), "the database is not available");
                }
                Ok(Err(
                    error @ (EngineError::Refused(_)
                    | EngineError::Archived { .. }
                    | EngineError::Damaged(_)
                    | EngineError::NotBuilt(_)
                    | EngineError::KeyMissing),
                )) => {
                    let resend = batch.resend;
                    return Sent::Refused { error, resend };
                }
                Err(_elapsed) => return Sent::GaveUp { unknown: true },
            }
            if Instant::now() + pause >= deadline {
                return Sent::GaveUp {
                    unknown: batch.resend,
                };
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Answers everyone in a batch and hands its events on.
    fn settle(&self, mut jobs: Vec<Job>, outcome: &BatchOutcome) {
        let counts: Vec<u64> = jobs
            .iter()
            .map(|it| it.prepared.append.events.len() as u64)
            .collect();
        let written = stored_events(&mut jobs, outcome);
        self.accepted.written(&written);
        self.tail.push(written);
        let mut position = outcome.before.position;
        for ((job, verdict), count) in jobs.into_iter().zip(&outcome.verdicts).zip(counts) {
            let answer = match *verdict {
                Verdict::Written => {
                    position += count;
                    Ok(Appended {
                        position,
                        recorded_at: time(outcome.recorded_at_ms),
                    })
                }
                Verdict::AlreadyWritten {
                    first_position,
                    recorded_at_ms,
                } => {
                    let position = first_position + count.saturating_sub(1);
                    self.note_already_written(&job, position);
                    Ok(Appended {
                        position,
                        recorded_at: time(recorded_at_ms),
                    })
                }
                Verdict::Conflict { stream_id, actual } => {
                    Err(StoreError::Conflict { stream_id, actual })
                }
                Verdict::Claimed { held } => Err(StoreError::Claimed(held)),
                Verdict::PatientKeyExists => Err(StoreError::PatientKeyExists),
            };
            job.answer(answer);
        }
    }

    fn note_already_written(&self, job: &Job, position: u64) {
        if let Some(event) = job.prepared.append.events.first() {
            self.accepted.answered(event.tenant_id, position);
        }
        self.tail.saw(position);
    }
}

enum Sent {
    Done(BatchOutcome),
    /// The parts of it may have been committed where it was a resend.
    Refused {
        error: EngineError,
        resend: bool,
    },
    GaveUp {
        unknown: bool,
    },
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap_or(Timestamp::EPOCH)
}

/// Who waited past the deadline hears so now: nothing of theirs was sent, unless this is a part of a resend.
fn answer_the_late(jobs: Vec<Job>, resend: bool) -> Vec<Job> {
    let now = Instant::now();
    let (late, live): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|it| it.deadline <= now);
    for job in late {
        job.answer(Err(match resend {
            true => StoreError::OutcomeUnknown,
            false => StoreError::Unavailable(Unavailable::Deadline),
        }));
    }
    live
}

/// The batch's winners as they stand in the log now, taken out of their jobs.
fn stored_events(jobs: &mut [Job], outcome: &BatchOutcome) -> Vec<StoredEvent> {
    let mut head = outcome.before;
    let mut stored = Vec::new();
    for (job, verdict) in jobs.iter_mut().zip(&outcome.verdicts) {
        if *verdict != Verdict::Written {
            continue;
        }
        let events = std::mem::take(&mut job.prepared.append.events);
        let leaves = &job.prepared.leaves;
        let positions = head.position + 1..;
        let links = chain::extend(&mut head, outcome.recorded_at_ms, leaves);
        let places = positions.zip(links).zip(leaves);
        stored.extend(events.into_iter().zip(places).map(|(event, place)| {
            let ((position, hash), leaf) = place;
            standing(
                event,
                &Head { position, hash },
                outcome.recorded_at_ms,
                *leaf,
            )
        }));
    }
    stored
}

fn standing(event: NewEvent, at: &Head, recorded_at_ms: i64, leaf: chain::Digest) -> StoredEvent {
    StoredEvent {
        position: at.position,
        tenant_id: event.tenant_id,
        stream_type: event.stream_type.into(),
        stream_id: event.stream_id,
        version: event.version,
        event_id: event.event_id,
        event_type: event.event_type.into(),
        schema_version: event.schema_version,
        recorded_at_ms,
        payload: event.payload,
        sealed: event.sealed,
        metadata: event.metadata,
        leaf,
        hash: at.hash,
    }
}
