//! A generation in the making, and the steps that fill it.

use std::collections::HashSet;
use std::sync::Arc;

use roentgen_domain::ids::StreamId;

use crate::engine::{Engine, MAX_SCAN};
use crate::error::EngineError;
use crate::generation::Generation;
use crate::lifecycle::Tasks;
use crate::log::LogFilter;
use crate::model::{Checkpoint, ProjectionBatch};
use crate::projector::batch::{self, FoldedBatch, Goes, Member};
use crate::projector::begun::{Beginnings, Begun};
use crate::projector::members::table;
use crate::projector::touched::Known;
use crate::projector::{BATCH_BYTES, BATCH_CATCH_UP, Projection, place, scanned};

/// A generation in the making.
pub(super) struct Shadow {
    engine: Arc<dyn Engine>,
    tasks: Tasks,
    pub(super) member: Member,
    parked: HashSet<(String, StreamId)>,
}

/// What goes into a generation next.
struct Portion {
    to: Checkpoint,
    folded: FoldedBatch,
}

/// What a step of catching up came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more.
    Went,
    /// This was the log's end.
    AtTheEnd,
    /// The generation is not this builder's to fill any more.
    Lost,
}

impl Shadow {
    /// What a generation's making goes on with.
    pub(super) async fn of(
        engine: &Arc<dyn Engine>,
        tasks: &Tasks,
        projection: &Arc<dyn Projection>,
        made: &Generation,
    ) -> Result<Self, EngineError> {
        engine
            .create_tables(&projection.tables(made.generation))
            .await?;
        let parked = engine.parked().await?.into_iter();
        let parked = parked.filter(|it| it.model == made.name);
        Ok(Self {
            engine: Arc::clone(engine),
            tasks: tasks.clone(),
            member: Member {
                projection: Arc::clone(projection),
                table: table(projection.model(), made),
                checkpoint: made.checkpoint,
            },
            parked: parked.map(|it| (it.model, it.stream_id)).collect(),
        })
    }

    /// Writes streams from the log's beginning on, each with all that it has up to a position. While some are written, by
    /// a task of their own, the next are folded, and those after them read.
    pub(super) async fn fill(
        &mut self,
        upto: u64,
        goes_on: impl Fn(&Self) -> bool,
    ) -> Result<Step, EngineError> {
        let from = self.member.checkpoint.position;
        let kind = self.member.projection.stream_type();
        let mut beginnings = Beginnings::of(&self.engine, kind, from, upto);
        let first = beginnings.next().await?;
        let mut folded = self.folded(first).await;
        let mut read = beginnings.next().await?;
        while let Some(Portion { to, folded: rows }) = folded {
            if !goes_on(self) {
                return Ok(Step::Went);
            }
            let written = self.batch(to, rows, true);
            let engine = Arc::clone(&self.engine);
            let write = async move { (engine.project(&written).await, written) };
            let (wrote, next, after) = tokio::join!(
                self.tasks.run_beside(write),
                self.folded(read),
                beginnings.next()
            );
            let Some((moved, written)) = wrote else {
                return Ok(Step::Went);
            };
            if !moved? {
                return Ok(Step::Lost);
            }
            self.moved(written);
            (folded, read) = (next, after?);
        }
        Ok(Step::AtTheEnd)
    }

    async fn folded(&self, begun: Option<Begun>) -> Option<Portion> {
        let Begun { to, streams } = begun?;
        let Member {
            projection, table, ..
        } = &self.member;
        let folded = batch::fold_whole(&**projection, *table, streams, Goes::One).await;
        Some(Portion { to, folded })
    }

    /// Writes the next events of the projection's streams.
    async fn step(&mut self) -> Result<Step, EngineError> {
        let Member {
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
            .page(from.position, BATCH_CATCH_UP, &filter)
            .await?;
        let passed = page.scanned_to.saturating_sub(from.position);
        let full = page.events.len() >= BATCH_CATCH_UP as usize || passed >= MAX_SCAN;
        let events = std::mem::take(&mut page.events);
        let mut events: Vec<_> = events.into_iter().map(Arc::new).collect();
        let beyond = batch::beyond(&mut events, BATCH_BYTES);
        let known = Known {
            engine: &*self.engine,
            unwritten: &[],
        };
        let member = std::slice::from_ref(&self.member);
        let (folded, count) = batch::fold(known, member, &self.parked, &events).await?;
        let cut = !beyond.is_empty() || count < events.len();
        events.truncate(count);
        let last = events.last().map(|it| place(it));
        let to = match last {
            Some(last) if cut || last.position == page.scanned_to => Some(last),
            Some(_) | None => scanned(&*self.engine, &page).await?,
        };
        let Some(to) = to.filter(|it| it.position > from.position) else {
            return Ok(Step::AtTheEnd);
        };
        let written = self.batch(to, folded, false);
        if !self.engine.project(&written).await? {
            return Ok(Step::Lost);
        }
        self.moved(written);
        Ok(match full || cut {
            true => Step::Went,
            false => Step::AtTheEnd,
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

    fn moved(&mut self, written: ProjectionBatch) {
        self.member.checkpoint = written.to;
        let parked = written.parked.into_iter();
        self.parked
            .extend(parked.map(|it| (it.model, it.stream_id)));
    }

    /// At most so many steps, to at least a position where the log has it.
    pub(super) async fn catch_up(&mut self, steps: usize, upto: u64) -> Result<Step, EngineError> {
        for _ in 0..steps {
            if self.member.checkpoint.position >= upto {
                break;
            }
            match self.step().await? {
                Step::Went => {}
                ended @ (Step::AtTheEnd | Step::Lost) => return Ok(ended),
            }
        }
        Ok(Step::Went)
    }
}
