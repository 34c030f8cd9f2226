//! A generation in the making, and the steps that fill it.

use std::collections::HashSet;
use std::sync::Arc;

use roentgen_domain::ids::StreamId;

use crate::engine::{Engine, MAX_SCAN};
use crate::error::EngineError;
use crate::generation::Generation;
use crate::log::LogFilter;
use crate::model::{Checkpoint, ProjectionBatch};
use crate::projector::batch::{self, Member};
use crate::projector::members::table;
use crate::projector::{BATCH_BYTES, BATCH_CATCH_UP, Projection, place, scanned};

/// A generation in the making.
pub(super) struct Shadow {
    engine: Arc<dyn Engine>,
    pub(super) member: Member,
    parked: HashSet<(String, StreamId)>,
    /// What follows its checkpoint, where that was folded while the last batch was written.
    next: Option<Portion>,
}

/// The next events of a generation, folded and not written yet.
struct Portion {
    to: Checkpoint,
    folded: batch::FoldedBatch,
    /// The log has more.
    goes_on: bool,
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
            member: Member {
                projection: Arc::clone(projection),
                table: table(projection.model(), made),
                checkpoint: made.checkpoint,
            },
            parked: parked.map(|it| (it.model, it.stream_id)).collect(),
            next: None,
        })
    }

    /// Writes the next events of the projection's streams, and folds those that follow meanwhile.
    pub(super) async fn step(&mut self) -> Result<Step, EngineError> {
        let from = self.member.checkpoint;
        let portion = match self.next.take() {
            Some(portion) => Some(portion),
            None => self.portion(from, &[]).await?,
        };
        let Some(Portion {
            to,
            folded,
            goes_on,
        }) = portion
        else {
            return Ok(Step::AtTheEnd);
        };
        let found = folded.parked.iter();
        let found = found.map(|it| (it.model.clone(), it.stream_id));
        self.parked.extend(found);
        let written = ProjectionBatch {
            from: vec![(self.member.table, from)],
            to,
            rows: folded.rows,
            parked: folded.parked,
            left_out: folded.left_out,
        };
        let next = async {
            match goes_on {
                true => self.portion(to, &written.rows).await,
                false => Ok(None),
            }
        };
        let (moved, next) = tokio::join!(self.engine.project(&written), next);
        if !moved? {
            return Ok(Step::Lost);
        }
        self.member.checkpoint = to;
        self.next = next?;
        Ok(match goes_on {
            true => Step::Went,
            false => Step::AtTheEnd,
        })
    }

    /// Folds what follows `from`, on what is written and what is about to be; nothing at the log's end.
    async fn portion(
        &self,
        from: Checkpoint,
        unwritten: &batch::Rows,
    ) -> Result<Option<Portion>, EngineError> {
        let Shadow { member, parked, .. } = self;
        let filter = LogFilter {
            stream_type: Some(member.projection.stream_type().to_owned()),
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
        let cut = !batch::beyond(&mut events, BATCH_BYTES).is_empty();
        let last = events.last().map(|it| place(it));
        let to = match last {
            Some(last) if cut || last.position == page.scanned_to => Some(last),
            Some(_) | None => scanned(&*self.engine, &page).await?,
        };
        let Some(to) = to.filter(|it| it.position > from.position) else {
            return Ok(None);
        };
        let known = batch::Known {
            engine: &*self.engine,
            unwritten,
        };
        Ok(Some(Portion {
            to,
            folded: batch::fold(known, std::slice::from_ref(member), parked, &events).await?,
            goes_on: full || cut,
        }))
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
