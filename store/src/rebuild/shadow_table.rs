//! Shadow tables: generations being built, and the steps that fill them.

use std::collections::HashSet;
use std::sync::Arc;

use roentgen_domain::ids::StreamId;

use super::stream_scan::{StreamChunk, StreamScanner};
use crate::checkpoint::{checkpoint_after_page, checkpoint_at};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::generation::Generation;
use crate::lifecycle::BackgroundTasks;
use crate::log::{LogFilter, MAX_POSITIONS_PER_PAGE};
use crate::projection::batch::{self, FoldMode, FoldedBatch, ProjectedTable};
use crate::projection::existing_rows::RowSource;
use crate::projection::live_tables::table;
use crate::projection::{BATCH_BYTES, BATCH_CATCH_UP, Projection};
use crate::read_model::{Checkpoint, ProjectionBatch};

/// Generation being built.
pub(super) struct ShadowTable {
    engine: Arc<dyn Engine>,
    tasks: BackgroundTasks,
    pub(super) member: ProjectedTable,
    parked: HashSet<(String, StreamId)>,
}

/// Next batch of folded streams of a generation.
struct BackfillBatch {
    to: Checkpoint,
    folded: FoldedBatch,
}

/// Outcome of a catch-up step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CatchUpStep {
    /// More events remain.
    Advanced,
    /// The end of the log was reached.
    CaughtUp,
    /// The write was superseded; this worker no longer fills the generation.
    Superseded,
}

impl ShadowTable {
    /// Loads the state from which a build resumes, and creates missing tables.
    pub(super) async fn new(
        engine: &Arc<dyn Engine>,
        tasks: &BackgroundTasks,
        projection: &Arc<dyn Projection>,
        made: &Generation,
    ) -> Result<Self, EngineError> {
        engine
            .create_tables(&projection.tables(made.generation))
            .await?;
        let parked = engine.parked().await?.into_iter();
        let parked = parked.filter(|parked| parked.model == made.name);
        Ok(Self {
            engine: Arc::clone(engine),
            tasks: tasks.clone(),
            member: ProjectedTable {
                projection: Arc::clone(projection),
                table: table(projection.model(), made),
                checkpoint: made.checkpoint,
            },
            parked: parked
                .map(|parked| (parked.model, parked.stream_id))
                .collect(),
        })
    }

    /// Writes whole streams in the order of their first events, each with its events up to `upto`. A separate task
    /// writes one chunk while the next is folded and the one after that is read.
    pub(super) async fn backfill(
        &mut self,
        upto: u64,
        goes_on: impl Fn(&Self) -> bool,
    ) -> Result<CatchUpStep, EngineError> {
        let from = self.member.checkpoint.position;
        let kind = self.member.projection.stream_type();
        let mut beginnings = StreamScanner::new(&self.engine, kind, from, upto);
        let first = beginnings.next().await?;
        let mut folded = self.folded(first).await;
        let mut read = beginnings.next().await?;
        while let Some(BackfillBatch { to, folded: rows }) = folded {
            if !goes_on(self) {
                return Ok(CatchUpStep::Advanced);
            }
            let written = self.batch(to, rows, true);
            let engine = Arc::clone(&self.engine);
            let write = async move { (engine.write_projection(&written).await, written) };
            let (wrote, next, after) = tokio::join!(
                self.tasks.run_propagating_panics(write),
                self.folded(read),
                beginnings.next()
            );
            let Some((moved, written)) = wrote else {
                return Ok(CatchUpStep::Advanced);
            };
            if !moved? {
                return Ok(CatchUpStep::Superseded);
            }
            self.record_written(written);
            (folded, read) = (next, after?);
        }
        Ok(CatchUpStep::CaughtUp)
    }

    async fn folded(&self, begun: Option<StreamChunk>) -> Option<BackfillBatch> {
        let StreamChunk { to, streams } = begun?;
        let ProjectedTable {
            projection, table, ..
        } = &self.member;
        let folded = batch::fold_whole(&**projection, *table, streams, FoldMode::Whole).await;
        Some(BackfillBatch { to, folded })
    }

    /// Writes the next batch of events of the projection's streams.
    async fn step(&mut self) -> Result<CatchUpStep, EngineError> {
        let ProjectedTable {
            projection,
            checkpoint: from,
            ..
        } = &self.member;
        let filter = LogFilter {
            stream_type: Some(projection.stream_type().to_owned()),
            ..LogFilter::default()
        };
        let mut page = self
            .engine
            .read_log(from.position, BATCH_CATCH_UP, &filter)
            .await?;
        let passed = page.scanned_to.saturating_sub(from.position);
        let full = page.events.len() >= BATCH_CATCH_UP as usize || passed >= MAX_POSITIONS_PER_PAGE;
        let events = std::mem::take(&mut page.events);
        let mut events: Vec<_> = events.into_iter().map(Arc::new).collect();
        let beyond = batch::split_off_excess(&mut events, BATCH_BYTES);
        let known = RowSource {
            engine: &*self.engine,
            unwritten: &[],
        };
        let member = std::slice::from_ref(&self.member);
        let (folded, count) = batch::fold(known, member, &self.parked, &events).await?;
        let cut = !beyond.is_empty() || count < events.len();
        events.truncate(count);
        let last = events.last().map(|event| checkpoint_at(event));
        let to = match last {
            Some(last) if cut || last.position == page.scanned_to => Some(last),
            Some(_) | None => checkpoint_after_page(&*self.engine, &page).await?,
        };
        let Some(to) = to.filter(|checkpoint| checkpoint.position > from.position) else {
            return Ok(CatchUpStep::CaughtUp);
        };
        let written = self.batch(to, folded, false);
        if !self.engine.write_projection(&written).await? {
            return Ok(CatchUpStep::Superseded);
        }
        self.record_written(written);
        Ok(if full || cut {
            CatchUpStep::Advanced
        } else {
            CatchUpStep::CaughtUp
        })
    }

    fn batch(&self, to: Checkpoint, folded: FoldedBatch, filling: bool) -> ProjectionBatch {
        ProjectionBatch {
            from: vec![(self.member.table, self.member.checkpoint)],
            to,
            rows: folded.rows,
            parked: folded.parked,
            left_out: folded.left_out,
            filling,
        }
    }

    fn record_written(&mut self, written: ProjectionBatch) {
        self.member.checkpoint = written.to;
        let parked = written.parked.into_iter();
        self.parked
            .extend(parked.map(|parked| (parked.model, parked.stream_id)));
    }

    /// Runs at most `steps` steps, until the checkpoint has reached `upto` or the end of the log.
    pub(super) async fn catch_up(
        &mut self,
        steps: usize,
        upto: u64,
    ) -> Result<CatchUpStep, EngineError> {
        for _ in 0..steps {
            if self.member.checkpoint.position >= upto {
                break;
            }
            match self.step().await? {
                CatchUpStep::Advanced => {}
                ended @ (CatchUpStep::CaughtUp | CatchUpStep::Superseded) => return Ok(ended),
            }
        }
        Ok(CatchUpStep::Advanced)
    }
}
