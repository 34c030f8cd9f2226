//! The group-committing appender: one supervised task a node that turns whatever waits into one call of the database.
//!
//! Appends come through a queue that is bounded in bytes, each with a deadline; every party has its share of the queue
//! and its turns in a batch. A batch is what waits, without artificial delay; within it no written stream and no claim
//! key stands twice, so that clashes go to the next batch in order. A broken connection makes the batch go out again
//! with the same event ids until its outcome is known; a refused statement makes it go out in halves, so that only the
//! guilty append fails.

mod queue;
mod read_watermarks;

use std::sync::Arc;
use std::time::Duration;

use roentgen_domain::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chain;
use crate::engine::Engine;
use crate::error::{EngineError, StoreError, Unavailable, error_chain};
use crate::fair::{FairShare, Limits, Share, ShareOwner};
use crate::lifecycle::BackgroundTasks;
use crate::log::{
    Append, AppendBatch, AppendOutcome, AppendReceipt, BatchOutcome, Head, MAX_EVENT_BYTES,
    NewEvent, PreparedAppend, StoredEvent,
};
use crate::recent_events::RecentEvents;
use queue::WorkerQueue;
pub use read_watermarks::ReadWatermarks;

/// How much may wait, in bytes: of everybody's, and beyond it of parties with little in the queue.
const ROOM: Limits = Limits {
    shared: 64 * 1024 * 1024,
    reserve: 16 * 1024 * 1024,
    little: 1024 * 1024,
    waiting: 0,
};
/// What an append counts for beside its events, so that the queue is bounded in count, too: 16,384 appends without
/// events.
const APPEND_BYTES: usize = 4096;
/// The pause before a batch goes out again, doubled from the first to the last.
const INITIAL_BACKOFF: Duration = Duration::from_millis(10);
const MAX_BACKOFF: Duration = Duration::from_millis(320);

/// Appends to the log. Clones share the queue.
#[derive(Debug, Clone)]
pub struct Appender {
    queue: Arc<WorkerQueue>,
    room: FairShare,
    accepted: ReadWatermarks,
}

/// An append on its way.
#[derive(Debug)]
struct QueuedAppend {
    prepared: PreparedAppend,
    deadline: Instant,
    reply: oneshot::Sender<Result<AppendReceipt, StoreError>>,
    _room: Share,
}

impl QueuedAppend {
    fn answer(self, answer: Result<AppendReceipt, StoreError>) {
        let _ = self.reply.send(answer);
    }
}

impl Appender {
    /// Starts the task. What it writes goes into `tail`, which knows by now where the log ends.
    pub fn start(
        engine: Arc<dyn Engine>,
        tail: Arc<RecentEvents>,
        tasks: &BackgroundTasks,
    ) -> Self {
        let queue = Arc::new(WorkerQueue::default());
        let accepted = ReadWatermarks::starting_at(*tail.head().borrow());
        let worker = AppendWorker {
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
    pub const fn read_watermarks(&self) -> &ReadWatermarks {
        &self.accepted
    }

    /// Appends, in the party's turn. An `Ok` is durable.
    ///
    /// # Errors
    /// After `OutcomeUnknown` it may have been written; after any other error nothing was.
    pub async fn append(
        &self,
        party: ShareOwner,
        append: Append,
        deadline: Instant,
    ) -> Result<AppendReceipt, StoreError> {
        if let Some(bytes) = append
            .events
            .iter()
            .map(NewEvent::size)
            .find(|number| *number > MAX_EVENT_BYTES)
        {
            return Err(StoreError::EventTooLarge { bytes });
        }
        let leaves = append.events.iter().map(NewEvent::leaf).collect();
        let room = self.reserve(party, &append)?;
        let (reply, answer) = oneshot::channel();
        let job = QueuedAppend {
            prepared: PreparedAppend { append, leaves },
            deadline,
            reply,
            _room: room,
        };
        let pushed = self.queue.push(party, job);
        pushed.map_err(|_closed| StoreError::Unavailable(Unavailable::Closing))?;
        answer.await.unwrap_or(Err(StoreError::OutcomeUnknown))
    }

    fn reserve(&self, party: ShareOwner, append: &Append) -> Result<Share, StoreError> {
        let bytes = append.events.iter().map(NewEvent::size).sum::<usize>();
        let room = self.room.try_enter(party, bytes + APPEND_BYTES);
        room.map_err(|_crowded| StoreError::Unavailable(Unavailable::QueueFull))
    }
}

/// Runs the worker again where it panicked; who was in the batch in hand is told that the outcome is unknown.
async fn supervise(worker: AppendWorker, tasks: BackgroundTasks) {
    let _abandoned = CloseOnDrop(Arc::clone(&worker.queue));
    loop {
        let worker = worker.clone();
        let run = tasks.run_isolated(async move { worker.run().await });
        match run.await {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(
                    event = "appender.restarted",
                    %error,
                    "appender restarted after a panic",
                )
            }
        }
    }
}

/// Whatever ends the appender's task, nobody waits for it afterwards.
struct CloseOnDrop(Arc<WorkerQueue>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[derive(Debug, Clone)]
struct AppendWorker {
    engine: Arc<dyn Engine>,
    tail: Arc<RecentEvents>,
    queue: Arc<WorkerQueue>,
    accepted: ReadWatermarks,
    stop: CancellationToken,
}

impl AppendWorker {
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
    async fn write(&self, jobs: Vec<QueuedAppend>) {
        let mut parts = vec![(jobs, false)];
        while let Some((part, resend)) = parts.pop() {
            let mut live = expire_overdue(part, resend);
            if live.is_empty() {
                continue;
            }
            match self.send(&live, resend).await {
                SendOutcome::Committed(outcome) => self.settle(live, &outcome),
                SendOutcome::Rejected { error, .. } if live.len() == 1 => {
                    if let Some(guilty) = live.pop() {
                        guilty.answer(Err(StoreError::Engine(error)));
                    }
                }
                SendOutcome::Rejected { resend, .. } => {
                    let second = live.split_off(live.len() / 2);
                    parts.extend([(second, resend), (live, resend)]);
                }
                SendOutcome::Abandoned { unknown } => {
                    for job in live {
                        job.answer(Err(if unknown {
                            StoreError::OutcomeUnknown
                        } else {
                            StoreError::Unavailable(Unavailable::Database)
                        }));
                    }
                }
            }
        }
    }

    /// Sends until the outcome is known or the last deadline has passed; `resend` where an earlier sending may have
    /// been committed.
    async fn send(&self, jobs: &[QueuedAppend], resend: bool) -> SendOutcome {
        let appends: Vec<&PreparedAppend> = jobs.iter().map(|append| &append.prepared).collect();
        let Some(deadline) = jobs.iter().map(|append| append.deadline).max() else {
            return SendOutcome::Abandoned { unknown: resend };
        };
        let mut batch = AppendBatch { appends, resend };
        let mut pause = INITIAL_BACKOFF;
        loop {
            let started = Instant::now();
            let sent = tokio::time::timeout_at(deadline, self.engine.append(&batch)).await;
            metrics::histogram!("roentgen_append_seconds").record(started.elapsed().as_secs_f64());
            match sent {
                Ok(Ok(outcome)) => {
                    metrics::histogram!("roentgen_append_batch_size").record(jobs.len() as f64);
                    return SendOutcome::Committed(outcome);
                }
                Ok(Err(EngineError::ConnectionLost(error))) => {
                    let error = error_chain(&error);
                    tracing::warn!(
                        event = "appender.resend",
                        %error,
                        appends = jobs.len(),
                        "append response lost; resending batch",
                    );
                    batch.resend = true;
                }
                Ok(Err(EngineError::Unavailable(error))) => {
                    let error = error_chain(&error);
                    tracing::warn!(
                        event = "appender.db_unavailable",
                        %error,
                        appends = jobs.len(),
                        "database unavailable; batch pending",
                    );
                }
                Ok(Err(
                    error @ (EngineError::Rejected(_)
                    | EngineError::Archived { .. }
                    | EngineError::Corrupt(_)
                    | EngineError::ReadModelNotReady(_)
                    | EngineError::KeyMissing),
                )) => {
                    let resend = batch.resend;
                    return SendOutcome::Rejected { error, resend };
                }
                Err(_elapsed) => return SendOutcome::Abandoned { unknown: true },
            }
            if Instant::now() + pause >= deadline {
                return SendOutcome::Abandoned {
                    unknown: batch.resend,
                };
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_BACKOFF);
        }
    }

    /// Answers everyone in a batch and hands its events on.
    fn settle(&self, mut jobs: Vec<QueuedAppend>, outcome: &BatchOutcome) {
        let counts: Vec<u64> = jobs
            .iter()
            .map(|append| append.prepared.append.events.len() as u64)
            .collect();
        let written = committed_events(&mut jobs, outcome);
        self.accepted.record_written(&written);
        self.tail.push(written);
        let mut position = outcome.before.position;
        for ((job, verdict), count) in jobs.into_iter().zip(&outcome.verdicts).zip(counts) {
            let answer = match *verdict {
                AppendOutcome::Written => {
                    position += count;
                    Ok(AppendReceipt {
                        position,
                        recorded_at: time(outcome.recorded_at_ms),
                    })
                }
                AppendOutcome::AlreadyWritten {
                    first_position,
                    recorded_at_ms,
                } => {
                    let position = first_position + count.saturating_sub(1);
                    self.note_already_written(&job, position);
                    Ok(AppendReceipt {
                        position,
                        recorded_at: time(recorded_at_ms),
                    })
                }
                AppendOutcome::Conflict { stream_id, actual } => {
                    Err(StoreError::Conflict { stream_id, actual })
                }
                AppendOutcome::KeyTaken { held } => Err(StoreError::KeyTaken(held)),
                AppendOutcome::PatientKeyExists => Err(StoreError::PatientKeyExists),
            };
            job.answer(answer);
        }
    }

    fn note_already_written(&self, job: &QueuedAppend, position: u64) {
        if let Some(event) = job.prepared.append.events.first() {
            self.accepted.record_acknowledged(event.tenant_id, position);
        }
        self.tail.observe(position);
    }
}

enum SendOutcome {
    Committed(BatchOutcome),
    /// The parts of it may have been committed where it was a resend.
    Rejected {
        error: EngineError,
        resend: bool,
    },
    Abandoned {
        unknown: bool,
    },
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap_or(Timestamp::EPOCH)
}

/// Who waited past the deadline hears so now: nothing of theirs was sent, unless this is a part of a resend.
fn expire_overdue(jobs: Vec<QueuedAppend>, resend: bool) -> Vec<QueuedAppend> {
    let now = Instant::now();
    let (late, live): (Vec<QueuedAppend>, Vec<QueuedAppend>) =
        jobs.into_iter().partition(|append| append.deadline <= now);
    for job in late {
        job.answer(Err(if resend {
            StoreError::OutcomeUnknown
        } else {
            StoreError::Unavailable(Unavailable::Deadline)
        }));
    }
    live
}

/// The batch's winners as they stand in the log now, taken out of their jobs.
fn committed_events(jobs: &mut [QueuedAppend], outcome: &BatchOutcome) -> Vec<StoredEvent> {
    let mut head = outcome.before;
    let mut stored = Vec::new();
    for (job, verdict) in jobs.iter_mut().zip(&outcome.verdicts) {
        if *verdict != AppendOutcome::Written {
            continue;
        }
        let events = std::mem::take(&mut job.prepared.append.events);
        let leaves = &job.prepared.leaves;
        let positions = head.position + 1..;
        let links = chain::extend(&mut head, outcome.recorded_at_ms, leaves);
        let places = positions.zip(links).zip(leaves);
        stored.extend(events.into_iter().zip(places).map(|(event, place)| {
            let ((position, hash), leaf) = place;
            to_stored_event(
                event,
                &Head { position, hash },
                outcome.recorded_at_ms,
                *leaf,
            )
        }));
    }
    stored
}

fn to_stored_event(
    event: NewEvent,
    at: &Head,
    recorded_at_ms: i64,
    leaf: chain::Digest,
) -> StoredEvent {
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
