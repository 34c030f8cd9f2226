//! The group-committing appender: one supervised task per node that writes all queued appends in one call of the
//! database.
//!
//! Appends wait in a queue that is bounded in bytes, each with a deadline. Every owner has a share of the queue and a
//! turn in each batch. A batch consists of the queued appends, without artificial delay. Within a batch, at most one
//! append writes to a stream or reserves a key; conflicting appends go to the next batch, in order. After a lost
//! connection the batch is resent with the same event ids until its outcome is known. After a rejected statement the
//! batch is sent in halves, so that only the append that causes the rejection fails.

mod queue;
mod read_watermarks;

use std::sync::Arc;
use std::time::Duration;

use roentgen_domain::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chain;
use crate::chain::Head;
use crate::engine::EventLog;
use crate::error::{EngineError, StoreError, Unavailable, error_chain};
use crate::fair::{FairShare, Limits, Share, ShareOwner};
use crate::lifecycle::BackgroundTasks;
use crate::log::{
    Append, AppendBatch, AppendOutcome, AppendReceipt, BatchOutcome, MAX_EVENT_BYTES, NewEvent,
    PreparedAppend, StoredEvent,
};
use crate::recent_events::RecentEvents;
use queue::WorkerQueue;
pub use read_watermarks::ReadWatermarks;

/// Limits of the queue, in bytes: those shared by all owners, and a reserve for owners with little in the queue.
const ROOM: Limits = Limits {
    shared: 64 * 1024 * 1024,
    reserve: 16 * 1024 * 1024,
    little: 1024 * 1024,
    waiting: 0,
};
/// Bytes that an append counts in addition to its events. They bound the number of queued appends too: 16,384 appends
/// without events.
const APPEND_BYTES: usize = 4096;
/// Backoff before a batch is resent, from the first to the maximum; it doubles each time.
const INITIAL_BACKOFF: Duration = Duration::from_millis(10);
const MAX_BACKOFF: Duration = Duration::from_millis(320);

/// Appends to the log. Clones share the queue.
#[derive(Debug, Clone)]
pub struct Appender {
    queue: Arc<WorkerQueue>,
    room: FairShare,
    accepted: ReadWatermarks,
}

/// An append in the queue or in the current batch.
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
    /// Starts the appender task. Written events are pushed to `tail`, which must know the head of the log.
    pub fn start(log: Arc<dyn EventLog>, tail: Arc<RecentEvents>, tasks: &BackgroundTasks) -> Self {
        let queue = Arc::new(WorkerQueue::default());
        let accepted = ReadWatermarks::starting_at(*tail.head().borrow());
        let worker = AppendWorker {
            log,
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

    /// Returns the last positions that this node acknowledged, by tenant.
    pub const fn read_watermarks(&self) -> &ReadWatermarks {
        &self.accepted
    }

    /// Appends atomically, in the turn of `party`. `Ok` means that the append is durable.
    ///
    /// # Errors
    /// After [`StoreError::OutcomeUnknown`] the append may have been written; after any other error nothing was
    /// written.
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

/// Restarts the worker after a panic. Appends of the batch in progress fail with an unknown outcome.
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

/// Closes the queue when the appender task ends for any reason, so that no caller waits for it.
struct CloseOnDrop(Arc<WorkerQueue>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[derive(Debug, Clone)]
struct AppendWorker {
    log: Arc<dyn EventLog>,
    tail: Arc<RecentEvents>,
    queue: Arc<WorkerQueue>,
    accepted: ReadWatermarks,
    stop: CancellationToken,
}

impl AppendWorker {
    /// Runs until the process stops and the queue is empty.
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

    /// Sends a batch, in halves if the database rejects it, and replies to all its appends.
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

    /// Sends a batch until the outcome is known or the last deadline has passed. `resend` is true if an earlier attempt
    /// may have been committed.
    async fn send(&self, jobs: &[QueuedAppend], resend: bool) -> SendOutcome {
        let appends: Vec<&PreparedAppend> = jobs.iter().map(|append| &append.prepared).collect();
        let Some(deadline) = jobs.iter().map(|append| append.deadline).max() else {
            return SendOutcome::Abandoned { unknown: resend };
        };
        let mut batch = AppendBatch { appends, resend };
        let mut pause = INITIAL_BACKOFF;
        loop {
            let started = Instant::now();
            let sent = tokio::time::timeout_at(deadline, self.log.append(&batch)).await;
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

    /// Replies to all appends of a batch and pushes the written events to the recent events.
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
    /// After a resend, parts of the batch may have been committed.
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

/// Fails appends past their deadline and returns the others. Nothing of a failed append was sent, unless it is part of
/// a resend.
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

/// Takes the written events out of the batch and returns them as stored in the log.
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
        let links = head.extend(outcome.recorded_at_ms, leaves);
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
