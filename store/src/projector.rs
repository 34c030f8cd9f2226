//! The projector: one reader, and one transaction per batch, for all live read models that this node projects.
//!
//! Each table has its own checkpoint and lease. Usually one node holds all leases, and its projector advances the tables
//! together; the other nodes follow the checkpoints. The projector takes events from this node's appender in memory and
//! reads the database only for gaps. A stream that cannot be folded, or whose rows cannot be written, is parked, and the
//! other streams continue. A parked stream is folded again from its first event when an operator retries it
//! ([`ParkedStreams`]). A rebuild fills a new generation in parallel with the live one ([`crate::rebuild`]).

mod isolate;
mod parked_streams;
mod progress;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use roentgen_domain::ids::StreamId;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

pub use parked_streams::{ParkedStreams, ProjectionStatus, ReadModelStatus, RetryOutcome};
pub use progress::ProjectionProgress;

use crate::checkpoint::checkpoint_at;
use crate::engine::Engine;
use crate::error::{EngineError, error_chain};
use crate::lease::Leases;
use crate::lifecycle::BackgroundTasks;
use crate::log::{LogFilter, StoredEvent};
use crate::projection::batch::{self, FoldedBatch, ProjectedTable, Rows, min_checkpoint};
use crate::projection::existing_rows::RowSource;
use crate::projection::{
    BATCH_BYTES, BATCH_CATCH_UP, ERROR_BACKOFF, POLL_IDLE, Projection, live_tables,
};
use crate::read_model::{Checkpoint, ProjectionBatch};
use crate::rebuild::RebuildWorker;
use crate::recent_events::RecentEvents;

/// Maximum number of events from memory in one transaction.
const BATCH_LIVE: usize = 1000;
/// How often the leader polls for events of other nodes, and how often followers poll the checkpoint while a read
/// waits.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// How long this node's new events are batched while no read on this node waits for them. A batch of 1 event costs
/// nearly as much as a batch of 100.
const BATCH_DELAY: Duration = Duration::from_millis(5);

/// A batch that is folded but not yet written.
struct FoldedBatchReady {
    to: Checkpoint,
    events: usize,
    folded: FoldedBatch,
    /// Events after the batch that were already read.
    rest: Vec<Arc<StoredEvent>>,
}

/// The projector of a node.
#[derive(Debug)]
pub struct Projector {
    engine: Arc<dyn Engine>,
    tail: Arc<RecentEvents>,
    projections: Vec<Arc<dyn Projection>>,
    progress: ProjectionProgress,
    /// Held while a batch is written, and while a generation is swapped in.
    turn: Arc<Mutex<()>>,
    /// Signals that a generation became live.
    joined: watch::Receiver<()>,
    stop: CancellationToken,
}

impl Projector {
    /// Creates missing tables and starts the projector. This node projects the tables whose leases it holds, and
    /// follows the others. Tables that need a backfill are built in parallel.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails before the projector starts.
    pub async fn start(
        engine: Arc<dyn Engine>,
        tail: Arc<RecentEvents>,
        projections: Vec<Arc<dyn Projection>>,
        leases: Leases,
        tasks: &BackgroundTasks,
    ) -> Result<ProjectionProgress, EngineError> {
        live_tables::create_missing_generations(&*engine, &projections).await?;
        let members = live_tables::load_live_tables(&*engine, &projections).await?;
        let progress = ProjectionProgress::new();
        progress.set(min_checkpoint(&members).position);
        // Before the first read: a read must show data of this log, or be rejected.
        progress.refuse(live_tables::mismatch(&*engine, &members).await?);
        let turn = Arc::default();
        let (joins, joined) = watch::channel(());
        let builder = RebuildWorker {
            engine: Arc::clone(&engine),
            projections: projections.clone(),
            turn: Arc::clone(&turn),
            joins,
            tasks: tasks.clone(),
            stop: tasks.token(),
        };
        tasks.spawn("rebuild", builder.run(leases.clone()));
        let projector = Self {
            engine,
            tail,
            projections,
            progress: progress.clone(),
            turn,
            joined,
            stop: tasks.token(),
        };
        tasks.spawn("projector", projector.run(leases));
        Ok(progress)
    }

    async fn run(mut self, mut leases: Leases) {
        while !self.stop.is_cancelled() {
            leases.mark_seen();
            self.joined.mark_unchanged();
            let Err(failure) = self.run_until_reassigned(&leases).await else {
                continue;
            };
            if let Err(error) = self.isolate(&leases, failure).await {
                tracing::warn!(
                    event = "projector.retrying",
                    error = error_chain(&error),
                    "projector paused after an error",
                );
                tokio::select! {
                    () = tokio::time::sleep(ERROR_BACKOFF) => {}
                    () = self.stop.cancelled() => {}
                }
            }
        }
    }

    /// Projects the tables whose leases this node holds and follows the others, until leases or live tables change.
    async fn run_until_reassigned(&self, leases: &Leases) -> Result<(), EngineError> {
        let members = live_tables::load_live_tables(&*self.engine, &self.projections).await?;
        if !self.check_checkpoints(&members).await? {
            return Ok(());
        }
        let all = members.len();
        let mut own = members;
        own.retain(|table| leases.holds(&table.table.model.schema_name()));
        if own.is_empty() {
            return self.follow(leases).await;
        }
        if own.len() == all {
            return self.lead(own, leases, Some(&self.progress)).await;
        }
        tokio::select! {
            ended = self.lead(own, leases, None) => ended,
            ended = self.follow(leases) => ended,
        }
    }

    /// Returns whether leases or live tables changed since the round began, or the process is stopping.
    fn has_changed(&self, leases: &Leases) -> bool {
        leases.has_changed()
            || self.joined.has_changed().unwrap_or(false)
            || self.stop.is_cancelled()
    }

    /// Follows the checkpoints of tables that other nodes project.
    async fn follow(&self, leases: &Leases) -> Result<(), EngineError> {
        let mut wanted = self.progress.wanted.subscribe();
        let mut leases = leases.clone();
        let mut joined = self.joined.clone();
        while !self.has_changed(&leases) {
            let members = live_tables::load_live_tables(&*self.engine, &self.projections).await?;
            let position = min_checkpoint(&members).position;
            self.progress.set(position);
            let somebody_waits = wanted.borrow_and_update().is_any(position, u64::MAX);
            let pause = if somebody_waits {
                POLL_INTERVAL
            } else {
                POLL_IDLE
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = wanted.changed() => {}
                () = leases.changed() => return Ok(()),
                Ok(()) = joined.changed() => return Ok(()),
                () = self.stop.cancelled() => return Ok(()),
            }
        }
        Ok(())
    }

    /// Projects tables until leases or live tables change, or another node advances a checkpoint.
    async fn lead(
        &self,
        mut members: Vec<ProjectedTable>,
        leases: &Leases,
        progress: Option<&ProjectionProgress>,
    ) -> Result<(), EngineError> {
        let mut position = min_checkpoint(&members).position;
        if let Some(progress) = progress {
            progress.set(position);
        }
        let parked = self.engine.parked().await?;
        let mut parked: HashSet<(String, StreamId)> = parked
            .into_iter()
            .map(|parked| (parked.model, parked.stream_id))
            .collect();
        let events = self.events_after(position).await?;
        let mut ready = self.fold(&members, &parked, events, &[]).await?;
        while !self.has_changed(leases) {
            let Some(FoldedBatchReady {
                to,
                events,
                rest,
                folded,
            }) = ready
            else {
                let events = self.wait_for_events(position).await?;
                ready = self.fold(&members, &parked, events, &[]).await?;
                continue;
            };
            let found = folded.parked.iter();
            parked.extend(found.map(|parked| (parked.model.clone(), parked.stream_id)));
            let batch = folded.into_projection_batch(&mut members, to);
            position = to.position;
            let writing = async {
                let moved = self.write(&batch).await?;
                if moved {
                    self.note(progress, position, events);
                }
                Ok::<_, EngineError>(moved)
            };
            let meanwhile = async {
                if rest.is_empty() && events < BATCH_LIVE && self.tail.contains(position) {
                    self.delay_batch(position).await;
                }
                let events = self.next(rest, position).await?;
                self.fold(&members, &parked, events, &batch.rows).await
            };
            let (moved, next) = tokio::join!(writing, meanwhile);
            if !moved? {
                tracing::info!(
                    event = "projector.superseded",
                    "checkpoint moved by another node or parked stream released",
                );
                return Ok(());
            }
            ready = next?;
        }
        Ok(())
    }

    async fn write(&self, batch: &ProjectionBatch) -> Result<bool, EngineError> {
        let _turn = self.turn.lock().await;
        self.engine.write_projection(batch).await
    }

    /// Folds the events that fit in one batch, on top of the stored rows and the `unwritten` ones.
    async fn fold(
        &self,
        members: &[ProjectedTable],
        parked: &HashSet<(String, StreamId)>,
        mut events: Vec<Arc<StoredEvent>>,
        unwritten: &Rows,
    ) -> Result<Option<FoldedBatchReady>, EngineError> {
        let mut rest = batch::split_off_excess(&mut events, BATCH_BYTES);
        let known = RowSource {
            engine: &*self.engine,
            unwritten,
        };
        let (folded, count) = batch::fold(known, members, parked, &events).await?;
        rest.splice(..0, events.drain(count..));
        Ok(events.last().map(|last| FoldedBatchReady {
            to: checkpoint_at(last),
            events: events.len(),
            folded,
            rest,
        }))
    }

    fn note(&self, progress: Option<&ProjectionProgress>, position: u64, events: usize) {
        if let Some(progress) = progress {
            progress.set(position);
        }
        metrics::counter!("roentgen_projected_events_total").increment(events as u64);
    }

    /// Returns whether the log contains the events at the checkpoints. If not, the projector is halted with the reason.
    async fn check_checkpoints(&self, members: &[ProjectedTable]) -> Result<bool, EngineError> {
        let refused = live_tables::mismatch(&*self.engine, members).await?;
        let fits = refused.is_none();
        self.progress.refuse(refused);
        if !fits {
            tokio::select! {
                () = tokio::time::sleep(POLL_IDLE) => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(fits)
    }

    /// Waits up to 5 ms for more events after a position, unless a read waits for them.
    async fn delay_batch(&self, position: u64) {
        tokio::select! {
            () = tokio::time::sleep(BATCH_DELAY) => {}
            () = self.progress.wait_for_demand(position, self.tail.head()) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Returns the events that were already read, or otherwise the events after `position`.
    async fn next(
        &self,
        rest: Vec<Arc<StoredEvent>>,
        position: u64,
    ) -> Result<Vec<Arc<StoredEvent>>, EngineError> {
        if rest.is_empty() {
            return self.events_after(position).await;
        }
        Ok(rest)
    }

    /// Returns the next events from memory or, if necessary, from the database; none if this node knows of none.
    async fn events_after(&self, position: u64) -> Result<Vec<Arc<StoredEvent>>, EngineError> {
        if let Some(events) = self.tail.after(position, BATCH_LIVE) {
            return Ok(events);
        }
        if *self.tail.head().borrow() == position {
            return Ok(Vec::new());
        }
        self.stored_after(position).await
    }

    async fn stored_after(&self, position: u64) -> Result<Vec<Arc<StoredEvent>>, EngineError> {
        let page = self
            .engine
            .read_log(position, BATCH_CATCH_UP, &LogFilter::default())
            .await?;
        if let Some(last) = page.events.last() {
            self.tail.observe(last.position);
        }
        Ok(page.events.into_iter().map(Arc::new).collect())
    }

    /// Waits for the next events: this node's events are pushed, those of other nodes are polled.
    async fn wait_for_events(&self, position: u64) -> Result<Vec<Arc<StoredEvent>>, EngineError> {
        let mut head = self.tail.head();
        let known = tokio::select! {
            _ = head.wait_for(|head| *head > position) => true,
            () = tokio::time::sleep(POLL_INTERVAL) => false,
            () = self.stop.cancelled() => return Ok(Vec::new()),
        };
        if known {
            self.events_after(position).await
        } else {
            self.stored_after(position).await
        }
    }
}
