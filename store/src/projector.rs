//! The projector group: one reader, one checkpoint and one transaction a batch for all live read models.
//!
//! A projection is a pure function from one stream's events to that stream's row, or rows. The leader's projector takes
//! events from this node's appender in memory and reads the database only for gaps; the other nodes follow its checkpoint. A
//! stream that cannot be folded is parked, and the others go on.

mod batch;

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use roentgen_domain::ids::StreamId;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::{EngineError, causes};
use crate::lease::Leadership;
use crate::lifecycle::Tasks;
use crate::log::{LogFilter, StoredEvent};
use crate::model::{Checkpoint, Model, ProjectionBatch, Row};
use crate::tail::Tail;

/// The checkpoint's name.
pub const GROUP: &str = "read-models";

/// Events in one transaction, from memory and from the database.
const BATCH_LIVE: usize = 1000;
const BATCH_CATCH_UP: u32 = 4000;
/// Bytes of payload in one transaction: one event can make a thousand rows.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How often the leader looks for other nodes' events, and the others for the leader's checkpoint when somebody waits.
const POLL: Duration = Duration::from_millis(25);
const POLL_IDLE: Duration = Duration::from_secs(1);
const AFTER_A_FAILURE: Duration = Duration::from_millis(250);

/// A read model and how it follows from the log.
pub trait Projection: Debug + Send + Sync + 'static {
    /// Its table.
    fn model(&self) -> &'static Model;

    /// The type of the streams that it folds.
    fn stream_type(&self) -> &'static str;

    /// How a stream becomes rows.
    fn folding(&self) -> Folding<'_>;
}

/// How a stream becomes rows.
#[derive(Debug, Clone, Copy)]
pub enum Folding<'a> {
    /// One row a stream, whose id is the stream's.
    Row(&'a dyn FoldsRow),
    /// Several rows a stream, each with an id of its own.
    Rows(&'a dyn FoldsRows),
}

/// Folds a stream into its one row.
pub trait FoldsRow: Debug + Send + Sync {
    /// The row after some more of its stream's events, in order.
    fn fold(&self, row: Option<Row>, events: &[Arc<StoredEvent>]) -> Folded;
}

/// Folds a stream into several rows. How far the stream is folded cannot be read from them: a row says when it was
/// touched last. So there is a table beside them with a row a stream that says it, written in the same transaction.
pub trait FoldsRows: Debug + Send + Sync {
    /// The table beside: no columns, no indexes.
    fn progress(&self) -> &'static Model;

    /// The rows that these events of one stream change, beside those they add.
    fn changes(&self, events: &[Arc<StoredEvent>]) -> Vec<Uuid>;

    /// The rows after some more of their stream's events, in order; `rows` are those of [`Self::changes`] that are there.
    fn fold(&self, rows: HashMap<Uuid, Row>, events: &[Arc<StoredEvent>]) -> FoldedRows;
}

/// What became of a stream's rows.
#[derive(Debug)]
pub struct FoldedRows {
    /// Those that were added or changed.
    pub rows: Vec<Row>,
    /// The last event that could be folded.
    pub folded: Option<Arc<StoredEvent>>,
    /// The first event that could not, and why (without PHI).
    pub stuck: Option<(u64, String)>,
}

/// What became of a stream's row.
#[derive(Debug)]
pub struct Folded {
    /// The row after the last event that could be folded.
    pub row: Option<Row>,
    /// The first event that could not, and why (without PHI).
    pub stuck: Option<(u64, String)>,
}

/// The checkpoint does not fit the log: the log was restored to an earlier point, or is another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "checkpoint {projection} stands at position {position}, and the log {found}: \
     the log was restored to an earlier point or is another one"
)]
pub struct CheckpointAhead {
    /// Whose checkpoint.
    pub projection: String,
    /// Where it stands.
    pub position: u64,
    /// What the log has instead.
    pub found: &'static str,
}

/// A batch that is folded and not written yet.
struct Ready {
    to: Checkpoint,
    events: usize,
    folded: batch::FoldedBatch,
    /// Events that were read already and come after it.
    rest: Vec<Arc<StoredEvent>>,
}

/// How far the read models are, for those who wait for them.
#[derive(Debug, Clone)]
pub struct Progress {
    projected: Arc<watch::Sender<u64>>,
    wanted: Arc<watch::Sender<u64>>,
    refused: Arc<watch::Sender<Option<CheckpointAhead>>>,
}

impl Progress {
    fn new() -> Self {
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

    fn set(&self, position: u64) {
        self.projected.send_if_modified(|it| {
            let moved = *it != position;
            *it = position;
            moved
        });
    }
}

/// The group.
#[derive(Debug)]
pub struct Projector {
    engine: Arc<dyn Engine>,
    tail: Arc<Tail>,
    projections: Vec<Arc<dyn Projection>>,
    progress: Progress,
    stop: CancellationToken,
}

impl Projector {
    /// Creates the models' tables and starts the group: it projects while this node leads and follows while not.
    pub async fn start(
        engine: Arc<dyn Engine>,
        tail: Arc<Tail>,
        projections: Vec<Arc<dyn Projection>>,
        leadership: Leadership,
        tasks: &Tasks,
    ) -> Result<Progress, EngineError> {
        for projection in &projections {
            engine.create_model(projection.model()).await?;
            if let Folding::Rows(several) = projection.folding() {
                engine.create_model(several.progress()).await?;
            }
        }
        let progress = Progress::new();
        let stop = tasks.token();
        let group = Self {
            engine,
            tail,
            projections,
            progress: progress.clone(),
            stop,
        };
        tasks.spawn("projector", group.run(leadership));
        Ok(progress)
    }

    async fn run(self, mut leadership: Leadership) {
        while !self.stop.is_cancelled() {
            let ended = if leadership.held() {
                self.lead(&leadership).await
            } else {
                self.follow(&mut leadership).await
            };
            if let Err(error) = ended {
                tracing::warn!(error = causes(&error), "the projector pauses");
                tokio::select! {
                    () = tokio::time::sleep(AFTER_A_FAILURE) => {}
                    () = self.stop.cancelled() => {}
                }
            }
        }
    }

    /// Shows what the leader has projected, until this node leads.
    async fn follow(&self, leadership: &mut Leadership) -> Result<(), EngineError> {
        let mut wanted = self.progress.wanted.subscribe();
        loop {
            let checkpoint = self.engine.checkpoint(GROUP).await?;
            self.progress.set(checkpoint.position);
            let somebody_waits = *wanted.borrow_and_update() > checkpoint.position;
            let pause = if somebody_waits { POLL } else { POLL_IDLE };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = wanted.changed() => {}
                () = leadership.gained() => return Ok(()),
                () = self.stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Projects, until this node does not lead or another moved the checkpoint.
    async fn lead(&self, leadership: &Leadership) -> Result<(), EngineError> {
        let mut from = self.engine.checkpoint(GROUP).await?;
        if !self.fits_the_log(from).await? {
            return Ok(());
        }
        self.progress.set(from.position);
        let parked = self.engine.parked(GROUP).await?;
        let mut parked: HashSet<(String, StreamId)> = parked
            .into_iter()
            .map(|it| (it.model, it.stream_id))
            .collect();
        let events = self.events_after(from.position).await?;
        let mut ready = self.fold(&parked, events, &[]).await?;
        while leadership.held() && !self.stop.is_cancelled() {
            let Some(Ready {
                to,
                events,
                rest,
                folded,
            }) = ready
            else {
                let events = self.wait_for_events(from.position).await?;
                ready = self.fold(&parked, events, &[]).await?;
                continue;
            };
            parked.extend(
                folded
                    .parked
                    .iter()
                    .map(|it| (it.model.clone(), it.stream_id)),
            );
            let batch = ProjectionBatch {
                projection: GROUP,
                from,
                to,
                rows: folded.rows,
                parked: folded.parked,
            };
            let meanwhile = async {
                let events = self.next(rest, to.position).await?;
                self.fold(&parked, events, &batch.rows).await
            };
            let (moved, next) = tokio::join!(self.engine.project(&batch), meanwhile);
            if !moved? {
                tracing::warn!("another node moved the checkpoint");
                return Ok(());
            }
            from = to;
            self.note(to.position, events);
            ready = next?;
        }
        Ok(())
    }

    /// Folds as many of the events as make a batch, on what is written and what is about to be.
    async fn fold(
        &self,
        parked: &HashSet<(String, StreamId)>,
        mut events: Vec<Arc<StoredEvent>>,
        unwritten: &batch::Rows,
    ) -> Result<Option<Ready>, EngineError> {
        let rest = batch::beyond(&mut events, BATCH_BYTES);
        let Some(last) = events.last() else {
            return Ok(None);
        };
        let known = batch::Known {
            engine: &*self.engine,
            unwritten,
        };
        Ok(Some(Ready {
            to: Checkpoint {
                position: last.position,
                hash: last.hash,
            },
            events: events.len(),
            folded: batch::fold(known, &self.projections, parked, &events).await?,
            rest,
        }))
    }

    fn note(&self, position: u64, events: usize) {
        self.progress.set(position);
        let head = *self.tail.head().borrow();
        metrics::gauge!("roentgen_projection_lag_events").set(head.saturating_sub(position) as f64);
        metrics::counter!("roentgen_projected_events_total").increment(events as u64);
    }

    /// Whether the log has the event that the checkpoint saw last. Where not, the group stands still and says so.
    async fn fits_the_log(&self, checkpoint: Checkpoint) -> Result<bool, EngineError> {
        let refused = mismatch(&*self.engine, GROUP, checkpoint).await?;
        let fits = refused.is_none();
        if let Some(said) = refused
            .as_ref()
            .filter(|it| self.progress.refused().as_ref() != Some(*it))
        {
            tracing::error!(refused = %said, "the projector stands still");
        }
        self.progress.refused.send_replace(refused);
        if !fits {
            tokio::select! {
                () = tokio::time::sleep(POLL_IDLE) => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(fits)
    }

    /// What was read already, or what comes after it.
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

    /// From memory, or else from the database; nothing where this node knows of nothing.
    /// From memory, or else from the database; nothing where this node knows of nothing.
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
            .page(position, BATCH_CATCH_UP, &LogFilter::default())
            .await?;
        if let Some(last) = page.events.last() {
            self.tail.saw(last.position);
        }
        Ok(page.events.into_iter().map(Arc::new).collect())
    }

    /// This node's next events at once, other nodes' by polling.
    async fn wait_for_events(&self, position: u64) -> Result<Vec<Arc<StoredEvent>>, EngineError> {
        let mut head = self.tail.head();
        let known = tokio::select! {
            _ = head.wait_for(|it| *it > position) => true,
            () = tokio::time::sleep(POLL) => false,
            () = self.stop.cancelled() => return Ok(Vec::new()),
        };
        match known {
            true => self.events_after(position).await,
            false => self.stored_after(position).await,
        }
    }
}

/// Why `checkpoint` does not fit the log, where it does not.
pub async fn mismatch(
    engine: &dyn Engine,
    projection: &str,
    checkpoint: Checkpoint,
) -> Result<Option<CheckpointAhead>, EngineError> {
    if checkpoint.position == 0 {
        return Ok(None);
    }
    let found = match engine.event_at(checkpoint.position).await? {
        Some(event) if event.hash == checkpoint.hash => return Ok(None),
        Some(_) => "has another event there",
        None => "ends before it",
    };
    let (projection, position) = (projection.to_owned(), checkpoint.position);
    Ok(Some(CheckpointAhead {
        projection,
        position,
        found,
    }))
}
