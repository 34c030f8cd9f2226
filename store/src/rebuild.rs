//! Rebuilds a read model in parallel to the live one and swaps it in (blue/green).
//!
//! The node that holds a schema's lease builds its new generation. It folds the log into a table without indexes,
//! stream by stream, builds the indexes, compares every row with its stream, catches up, and swaps the generations in
//! one transaction while no batch is written. Each step is durable: another node resumes after the last completed step.
//! Dropping the generation ends the rebuild. The checkpoints of subscriptions and relays are not touched.

mod comparison;
mod row_verification;
mod shadow_table;
mod stream_scan;

use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use row_verification::{RowVerification, verify};
use shadow_table::{CatchUpStep, ShadowTable};

use crate::engine::Engine;
use crate::error::{EngineError, error_chain};
use crate::generation::{Generation, GenerationState, NewGeneration};
use crate::lease::Leases;
use crate::lifecycle::BackgroundTasks;
use crate::projection::failure_scope::{FailureScope, reason};
use crate::projection::live_tables::load_live_tables;
use crate::projection::{ERROR_BACKOFF, POLL_IDLE, Projection};

pub use comparison::{ComparedModel, Comparison, compare};

/// Maximum number of catch-up batches between two checks for cancellation, and while the projector is blocked.
const CATCH_UP_STEPS: usize = 4;

/// Administrative operations on the generations of read models.
#[derive(Debug)]
pub struct RebuildService {
    engine: Arc<dyn Engine>,
    projections: Vec<Arc<dyn Projection>>,
}

/// Outcome of dropping one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DropOutcome {
    /// The generation of this name was dropped.
    Dropped(String),
    /// A node of another release reads the generation of this name.
    InUse(String),
}

impl RebuildService {
    /// Creates the service for these projections.
    pub fn new(engine: Arc<dyn Engine>, projections: Vec<Arc<dyn Projection>>) -> Self {
        Self {
            engine,
            projections,
        }
    }

    /// Requests a new generation of a read model; a running build continues. Returns `None` if no read model has this
    /// name.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails.
    pub async fn request(&self, name: &str) -> Result<Option<Generation>, EngineError> {
        let Some(projection) = self.named(name) else {
            return Ok(None);
        };
        let last = self.of_shape(projection).await?;
        if !last.iter().any(|generation| generation.state.is_building()) {
            let last = last
                .iter()
                .map(|generation| generation.generation)
                .max()
                .unwrap_or(0);
            let upto = self.engine.head().await?.position;
            let new = NewGeneration {
                tables: projection.tables(last + 1),
                state: GenerationState::Filling { upto },
            };
            self.engine.create_generations(&[new]).await?;
        }
        let all = self.of_shape(projection).await?;
        Ok(all
            .into_iter()
            .max_by_key(|generation| generation.generation))
    }

    /// Cancels the build of a generation and drops it. Returns its name, or `None` if none is being built.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails.
    pub async fn cancel(&self, name: &str) -> Result<Option<String>, EngineError> {
        let Some(projection) = self.named(name) else {
            return Ok(None);
        };
        for generation in self.of_shape(projection).await? {
            if generation.state.is_building() && self.drop_in_any_state(&generation).await? {
                return Ok(Some(generation.name));
            }
        }
        Ok(None)
    }

    /// Drops the unused generations of a read model: retired and failed ones, and those of other schema versions that
    /// no node projects.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails; generations dropped before the failure stay dropped.
    pub async fn drop_old(&self, name: &str) -> Result<Vec<DropOutcome>, EngineError> {
        let Some(projection) = self.named(name) else {
            return Ok(Vec::new());
        };
        let mut dropped = Vec::new();
        let all = self.engine.generations().await?;
        for candidate in all
            .into_iter()
            .filter(|generation| generation.model == name)
        {
            let is_over = matches!(
                candidate.state,
                GenerationState::Retired | GenerationState::Failed { .. }
            );
            if candidate.matches(projection.model()) && !is_over {
                continue;
            }
            let shape = format!("{}_v{}", candidate.model, candidate.version);
            let is_free = is_over || !self.engine.is_leased(&shape).await?;
            let done = is_free && self.engine.drop_generation(&candidate).await?;
            dropped.push(if done {
                DropOutcome::Dropped(candidate.name)
            } else {
                DropOutcome::InUse(candidate.name)
            });
        }
        Ok(dropped)
    }

    fn named(&self, name: &str) -> Option<&Arc<dyn Projection>> {
        self.projections
            .iter()
            .find(|projection| projection.model().name == name)
    }

    async fn of_shape(
        &self,
        projection: &Arc<dyn Projection>,
    ) -> Result<Vec<Generation>, EngineError> {
        let mut all = self.engine.generations().await?;
        all.retain(|generation| generation.matches(projection.model()));
        Ok(all)
    }

    /// Drops a generation that is being built, and tries again when its state changes. Returns `false` if the
    /// generation is no longer being built.
    async fn drop_in_any_state(&self, made: &Generation) -> Result<bool, EngineError> {
        loop {
            let all = self.engine.generations().await?;
            let Some(now) = all
                .into_iter()
                .find(|generation| generation.name == made.name)
            else {
                return Ok(false);
            };
            if !now.state.is_building() {
                return Ok(false);
            }
            if self.engine.drop_generation(&now).await? {
                return Ok(true);
            }
        }
    }
}

/// Turns permanent errors into the failed state: an archived start of the log, or a row that the database rejects on
/// every attempt.
fn fail_if_archived(
    filled: Result<Option<GenerationState>, EngineError>,
) -> Result<Option<GenerationState>, EngineError> {
    match filled {
        Err(archived @ EngineError::Archived { .. }) => Ok(Some(GenerationState::Failed {
            reason: archived.to_string(),
        })),
        Err(refused) if FailureScope::classify(&refused) == FailureScope::Row => {
            Ok(Some(GenerationState::Failed {
                reason: reason(&refused),
            }))
        }
        Ok(_) | Err(_) => filled,
    }
}

/// Background task that builds this node's new generations, one at a time.
#[derive(Debug)]
pub(crate) struct RebuildWorker {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) projections: Vec<Arc<dyn Projection>>,
    pub(crate) turn: Arc<Mutex<()>>,
    pub(crate) joins: watch::Sender<()>,
    pub(crate) tasks: BackgroundTasks,
    pub(crate) stop: CancellationToken,
}

impl RebuildWorker {
    pub(crate) async fn run(self, mut leases: Leases) {
        while !self.stop.is_cancelled() {
            leases.mark_seen();
            let pause = match self.round(&leases).await {
                Ok(()) => POLL_IDLE,
                Err(error) => {
                    tracing::warn!(
                        event = "rebuild.retrying",
                        error = error_chain(&error),
                        "rebuild paused after an error",
                    );
                    ERROR_BACKOFF
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
            if !leases.holds(&model.schema_name()) {
                continue;
            }
            let generations = self.engine.generations().await?;
            let mut of_shape = generations
                .into_iter()
                .filter(|generation| generation.matches(model));
            if let Some(made) = of_shape.find(|generation| generation.state.is_building()) {
                self.build(projection, made, leases).await?;
            }
        }
        Ok(())
    }

    fn should_continue(&self, shadow: &ShadowTable, leases: &Leases) -> bool {
        !self.stop.is_cancelled() && leases.holds(&shadow.member.table.model.schema_name())
    }

    /// Builds the generation from its current state as far as possible.
    async fn build(
        &self,
        projection: &Arc<dyn Projection>,
        made: Generation,
        leases: &Leases,
    ) -> Result<(), EngineError> {
        let mut shadow = ShadowTable::new(&self.engine, &self.tasks, projection, &made).await?;
        let table = shadow.member.table;
        let mut state = made.state;
        while self.should_continue(&shadow, leases) {
            tracing::info!(
                event = "rebuild.progress",
                generation = table.name(),
                %state,
                "read model rebuild entered state",
            );
            let next = match &state {
                GenerationState::Filling { upto } => {
                    fail_if_archived(self.fill(&mut shadow, *upto, leases).await)?
                }
                GenerationState::Indexing => {
                    let tables = projection.tables(table.generation);
                    self.engine.create_indexes(&tables).await?;
                    Some(GenerationState::Verifying { checked: 0 })
                }
                GenerationState::Verifying { .. } => self.verify(&shadow, leases).await?,
                GenerationState::Joining => {
                    let joined = self.join(&mut shadow, leases).await;
                    fail_if_archived(joined.map(|()| None))?
                }
                GenerationState::Live
                | GenerationState::Retired
                | GenerationState::Failed { .. } => None,
            };
            let Some(next) = next else { return Ok(()) };
            if !self.engine.advance_generation(table, &state, &next).await? {
                return Ok(());
            }
            state = next;
        }
        Ok(())
    }

    async fn fill(
        &self,
        shadow: &mut ShadowTable,
        upto: u64,
        leases: &Leases,
    ) -> Result<Option<GenerationState>, EngineError> {
        let filled = shadow
            .backfill(upto, |table| self.should_continue(table, leases))
            .await?;
        Ok(match filled {
            CatchUpStep::CaughtUp => Some(GenerationState::Indexing),
            CatchUpStep::Advanced | CatchUpStep::Superseded => None,
        })
    }

    async fn verify(
        &self,
        shadow: &ShadowTable,
        leases: &Leases,
    ) -> Result<Option<GenerationState>, EngineError> {
        let goes_on = || self.should_continue(shadow, leases);
        Ok(match verify(&self.engine, &shadow.member, goes_on).await? {
            RowVerification::Matches => Some(GenerationState::Joining),
            RowVerification::Mismatch(reason) => {
                let generation = shadow.member.table.name();
                tracing::error!(
                    event = "rebuild.mismatch",
                    generation,
                    reason,
                    "rebuilt read model differs from the log",
                );
                Some(GenerationState::Failed { reason })
            }
            RowVerification::Aborted => None,
        })
    }

    /// Catches up and replaces the live generation while this node's projector is blocked.
    async fn join(&self, shadow: &mut ShadowTable, leases: &Leases) -> Result<(), EngineError> {
        while self.should_continue(shadow, leases) {
            match shadow.catch_up(CATCH_UP_STEPS, u64::MAX).await? {
                CatchUpStep::Advanced => continue,
                CatchUpStep::CaughtUp => {}
                CatchUpStep::Superseded => return Ok(()),
            }
            let _turn = self.turn.lock().await;
            let shown = self.live_position().await?;
            if shadow.catch_up(CATCH_UP_STEPS, shown).await? == CatchUpStep::Superseded {
                return Ok(());
            }
            let is_level = shadow.member.checkpoint.position >= shown;
            if is_level
                && self
                    .engine
                    .swap_live_generation(shadow.member.table)
                    .await?
            {
                tracing::info!(
                    event = "rebuild.completed",
                    generation = shadow.member.table.name(),
                    "read model generation is live",
                );
                load_live_tables(&*self.engine, &self.projections).await?;
                self.joins.send_replace(());
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns the highest position of the live tables of this node's projections.
    async fn live_position(&self) -> Result<u64, EngineError> {
        let generations = self.engine.generations().await?;
        let live = generations.iter().filter(|generation| {
            let declared = self
                .projections
                .iter()
                .any(|of| generation.matches(of.model()));
            declared && generation.state == GenerationState::Live
        });
        Ok(live
            .map(|generation| generation.checkpoint.position)
            .max()
            .unwrap_or(0))
    }
}
