//! Filling a read model again beside the one that is read, and letting it take its place (blue/green).
//!
//! Whoever holds a shape's lease builds its new generation: folds the log into a table without indexes, stream by stream;
//! builds those, compares every row with its stream, catches up, and swaps the two in one transaction while no batch is
//! written.
//! Each step is durable: another node goes on where the last one ended, and a generation that is forgotten in between ends
//! the work. Subscriptions and relays have checkpoints of their own, which this does not touch.

mod shadow;

use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use shadow::{Shadow, Step};

use super::blame::{Blame, reason};
use super::members::look;
use super::verify::{Verdict, verify};
use super::{AFTER_A_FAILURE, POLL_IDLE, Projection};
use crate::engine::Engine;
use crate::error::{EngineError, causes};
use crate::generation::{Generation, NewGeneration, State};
use crate::lease::Leases;
use crate::lifecycle::Tasks;

/// Batches that are caught up before it is asked whether to go on, or while the projector waits.
const STEPS_IN_TURN: usize = 4;

/// What may be asked about the generations of read models.
#[derive(Debug)]
pub struct Rebuilding {
    engine: Arc<dyn Engine>,
    projections: Vec<Arc<dyn Projection>>,
}

/// What became of a generation that was to be dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dropped {
    /// It is gone; its name.
    Gone(String),
    /// A node of another release reads it; its name.
    InUse(String),
}

impl Rebuilding {
    /// Of these projections.
    pub fn new(engine: Arc<dyn Engine>, projections: Vec<Arc<dyn Projection>>) -> Self {
        Self {
            engine,
            projections,
        }
    }

    /// Asks for a new generation of a model; one that is in the making goes on. `None` where no model has this name.
    pub async fn request(&self, name: &str) -> Result<Option<Generation>, EngineError> {
        let Some(projection) = self.named(name) else {
            return Ok(None);
        };
        let last = self.of_shape(projection).await?;
        if !last.iter().any(|it| it.state.is_building()) {
            let last = last.iter().map(|it| it.generation).max().unwrap_or(0);
            let upto = self.engine.head().await?.position;
            let new = NewGeneration {
                tables: projection.tables(last + 1),
                state: State::Filling { upto },
            };
            self.engine.declare(&[new]).await?;
        }
        let all = self.of_shape(projection).await?;
        Ok(all.into_iter().max_by_key(|it| it.generation))
    }

    /// Ends the making of a generation, and drops what there is of it. Returns its name; `None` where none is made.
    pub async fn cancel(&self, name: &str) -> Result<Option<String>, EngineError> {
        let Some(projection) = self.named(name) else {
            return Ok(None);
        };
        for it in self.of_shape(projection).await? {
            if it.state.is_building() && self.forget_whatever(&it).await? {
                return Ok(Some(it.name));
            }
        }
        Ok(None)
    }

    /// Drops the generations of a model that nobody reads: retired and failed ones, and those of other versions while no
    /// node projects them.
    pub async fn drop_old(&self, name: &str) -> Result<Vec<Dropped>, EngineError> {
        let Some(projection) = self.named(name) else {
            return Ok(Vec::new());
        };
        let mut dropped = Vec::new();
        let all = self.engine.generations().await?;
        for it in all.into_iter().filter(|it| it.model == name) {
            let is_over = matches!(it.state, State::Retired | State::Failed { .. });
            if it.is_of(projection.model()) && !is_over {
                continue;
            }
            let shape = format!("{}_v{}", it.model, it.version);
            let is_free = is_over || !self.engine.is_leased(&shape).await?;
            let done = is_free && self.engine.forget(&it).await?;
            dropped.push(match done {
                true => Dropped::Gone(it.name),
                false => Dropped::InUse(it.name),
            });
        }
        Ok(dropped)
    }

    fn named(&self, name: &str) -> Option<&Arc<dyn Projection>> {
        self.projections.iter().find(|it| it.model().name == name)
    }

    async fn of_shape(
        &self,
        projection: &Arc<dyn Projection>,
    ) -> Result<Vec<Generation>, EngineError> {
        let mut all = self.engine.generations().await?;
        all.retain(|it| it.is_of(projection.model()));
        Ok(all)
    }

    /// Its state moves on while it is made. Once it is live it stays.
    async fn forget_whatever(&self, made: &Generation) -> Result<bool, EngineError> {
        loop {
            let all = self.engine.generations().await?;
            let Some(now) = all.into_iter().find(|it| it.name == made.name) else {
                return Ok(false);
            };
            if !now.state.is_building() {
                return Ok(false);
            }
            if self.engine.forget(&now).await? {
                return Ok(true);
            }
        }
    }
}

/// A log whose beginning is archived fills nothing, and a row that the database refuses is not written, however often it
/// is tried.
fn ended_by_name(filled: Result<Option<State>, EngineError>) -> Result<Option<State>, EngineError> {
    match filled {
        Err(archived @ EngineError::Archived { .. }) => Ok(Some(State::Failed {
            reason: archived.to_string(),
        })),
        Err(refused) if Blame::of(&refused) == Blame::Row => Ok(Some(State::Failed {
            reason: reason(&refused),
        })),
        Ok(_) | Err(_) => filled,
    }
}

/// Builds what this node is to build, one generation at a time.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) projections: Vec<Arc<dyn Projection>>,
    pub(super) turn: Arc<Mutex<()>>,
    pub(super) joins: watch::Sender<()>,
    pub(super) tasks: Tasks,
    pub(super) stop: CancellationToken,
}

impl Builder {
    pub(super) async fn run(self, mut leases: Leases) {
        while !self.stop.is_cancelled() {
            leases.seen();
            let pause = match self.round(&leases).await {
                Ok(()) => POLL_IDLE,
                Err(error) => {
                    tracing::warn!(error = causes(&error), "a rebuild pauses");
                    AFTER_A_FAILURE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = leases.changed() => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    async fn round(&self, leases: &Leases) -> Result<(), EngineError> {
        for projection in &self.projections {
            let model = projection.model();
            if !leases.holds(&model.shape()) {
                continue;
            }
            let generations = self.engine.generations().await?;
            let mut of_shape = generations.into_iter().filter(|it| it.is_of(model));
            if let Some(made) = of_shape.find(|it| it.state.is_building()) {
                self.build(projection, made, leases).await?;
            }
        }
        Ok(())
    }

    fn goes_on(&self, shadow: &Shadow, leases: &Leases) -> bool {
        !self.stop.is_cancelled() && leases.holds(&shadow.member.table.model.shape())
    }

    /// From the state that it is in, as far as it goes.
    async fn build(
        &self,
        projection: &Arc<dyn Projection>,
        made: Generation,
        leases: &Leases,
    ) -> Result<(), EngineError> {
        let mut shadow = Shadow::of(&self.engine, &self.tasks, projection, &made).await?;
        let table = shadow.member.table;
        let mut state = made.state;
        while self.goes_on(&shadow, leases) {
            tracing::info!(generation = table.name(), %state, "a read model is rebuilt");
            let next = match &state {
                State::Filling { upto } => {
                    ended_by_name(self.fill(&mut shadow, *upto, leases).await)?
                }
                State::Indexing => {
                    let tables = projection.tables(table.generation);
                    self.engine.create_indexes(&tables).await?;
                    Some(State::Verifying { checked: 0 })
                }
                State::Verifying { .. } => self.verify(&shadow, leases).await?,
                State::Joining => {
                    let joined = self.join(&mut shadow, leases).await;
                    ended_by_name(joined.map(|()| None))?
                }
                State::Live | State::Retired | State::Failed { .. } => None,
            };
            let Some(next) = next else { return Ok(()) };
            if !self.engine.promote(table, &state, &next).await? {
                return Ok(());
            }
            state = next;
        }
        Ok(())
    }

    async fn fill(
        &self,
        shadow: &mut Shadow,
        upto: u64,
        leases: &Leases,
    ) -> Result<Option<State>, EngineError> {
        let filled = shadow.fill(upto, |it| self.goes_on(it, leases)).await?;
        Ok(match filled {
            Step::AtTheEnd => Some(State::Indexing),
            Step::Went | Step::Lost => None,
        })
    }

    async fn verify(&self, shadow: &Shadow, leases: &Leases) -> Result<Option<State>, EngineError> {
        let goes_on = || self.goes_on(shadow, leases);
        Ok(match verify(&self.engine, &shadow.member, goes_on).await? {
            Verdict::Equal => Some(State::Joining),
            Verdict::Differs(reason) => {
                let generation = shadow.member.table.name();
                tracing::error!(generation, reason, "a read model differs from the log");
                Some(State::Failed { reason })
            }
            Verdict::Lost => None,
        })
    }

    /// Catches up and takes the place of the live generation, while this node's projector waits.
    async fn join(&self, shadow: &mut Shadow, leases: &Leases) -> Result<(), EngineError> {
        while self.goes_on(shadow, leases) {
            match shadow.catch_up(STEPS_IN_TURN, u64::MAX).await? {
                Step::Went => continue,
                Step::AtTheEnd => {}
                Step::Lost => return Ok(()),
            }
            let _turn = self.turn.lock().await;
            let shown = self.shown().await?;
            if shadow.catch_up(STEPS_IN_TURN, shown).await? == Step::Lost {
                return Ok(());
            }
            let is_level = shadow.member.checkpoint.position >= shown;
            if is_level && self.engine.swap(shadow.member.table).await? {
                tracing::info!(
                    generation = shadow.member.table.name(),
                    "a read model is live"
                );
                look(&*self.engine, &self.projections).await?;
                self.joins.send_replace(());
                return Ok(());
            }
        }
        Ok(())
    }

    /// The last position that a live table of this node's projections shows.
    async fn shown(&self) -> Result<u64, EngineError> {
        let generations = self.engine.generations().await?;
        let live = generations.iter().filter(|it| {
            let declared = self.projections.iter().any(|of| it.is_of(of.model()));
            declared && it.state == State::Live
        });
        Ok(live.map(|it| it.checkpoint.position).max().unwrap_or(0))
    }
}
