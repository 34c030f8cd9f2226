//! The projector group: one reader, one checkpoint and one transaction a batch for all live read models.
//!
//! A projection is a pure function from one stream's events to that stream's row, or rows. The leader's projector takes
//! events from this node's appender in memory and reads the database only for gaps; the other nodes follow its checkpoint. A
//! stream that cannot be folded is parked, and the others go on. What is parked is folded again from its first event when
//! somebody says so ([`Parking`]).

mod batch;
mod checkpoint;
mod folding;
mod parking;
mod progress;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use roentgen_domain::ids::StreamId;
use tokio_util::sync::CancellationToken;

pub use checkpoint::{CheckpointAhead, mismatch};
pub use folding::{Folded, FoldedRows, Folding, FoldsRow, FoldsRows, Projection};
pub use parking::{Parking, Retried, Standing, StandingModel};
pub use progress::Progress;

use crate::engine::Engine;
use crate::error::{EngineError, causes};
use crate::lease::Leadership;
use crate::lifecycle::Tasks;
use crate::log::{LogFilter, StoredEvent};
use crate::model::{Checkpoint, ProjectionBatch};
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

/// A batch that is folded and not written yet.
struct Ready {
    to: Checkpoint,
    events: usize,
    folded: batch::FoldedBatch,
    /// Events that were read already and come after it.
    rest: Vec<Arc<StoredEvent>>,
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
                left_out: folded.left_out,
            };
            let meanwhile = async {
                let events = self.next(rest, to.position).await?;
                self.fold(&parked, events, &batch.rows).await
            };
            let (moved, next) = tokio::join!(self.engine.project(&batch), meanwhile);
            if !moved? {
                tracing::warn!("another node moved the checkpoint, or let a parked stream go");
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
