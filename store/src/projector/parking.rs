//! Parked streams: which there are, and how they are folded again, by any node, beside the projector that leads.

use std::sync::Arc;

use roentgen_domain::Timestamp;
use roentgen_domain::ids::StreamId;
use tokio::sync::Mutex;

use super::Projection;
use super::blame::{Blame, reason};
use super::refold::Refolded;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::generation::{Generation, State};
use crate::model::{Checkpoint, Model, Parked, Replay, ReplayEnd, Row, Table};
use crate::reads::Scope;

/// Events that are read at once.
const PAGE: u32 = 100;
/// How often a stream is folded again because the projector was faster.
const ATTEMPTS: usize = 32;

/// The read models' parked streams.
#[derive(Debug)]
pub struct Parking {
    engine: Arc<dyn Engine>,
    projections: Vec<Arc<dyn Projection>>,
    /// One stream at a time: the projector needs connections too.
    turn: Mutex<()>,
}

/// How far the read models are, and what is parked of them.
#[derive(Debug)]
pub struct Standing {
    /// The last position of the log.
    pub head: u64,
    /// Each model, in the order of their declaration.
    pub models: Vec<StandingModel>,
}

/// A read model: the generation that is read, and what is parked of it, by position.
#[derive(Debug)]
pub struct StandingModel {
    /// Its shape.
    pub model: &'static Model,
    /// The type of the streams that it folds.
    pub stream_type: &'static str,
    /// What is read; `None` where there is nothing yet.
    pub live: Option<Generation>,
    /// Its other generations, and those of its other versions: in the making, failed, or kept.
    pub others: Vec<Generation>,
    /// The streams that the live generation could not fold.
    pub parked: Vec<Parked>,
}

/// What became of a stream that was folded again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// It is parked no more: the model shows all of it.
    Whole,
    /// It stays parked, from this position on and for this reason.
    Parked(Parked),
    /// The projector passed events of the stream each time that it was folded. Nothing was written.
    Outrun,
}

impl Standing {
    /// The last position that all of the read models show.
    pub fn position(&self) -> u64 {
        let positions = self.models.iter().map(StandingModel::position);
        positions.min().unwrap_or(0)
    }

    /// How many events come after that.
    pub fn lag(&self) -> u64 {
        self.head.saturating_sub(self.position())
    }
}

impl StandingModel {
    /// The last position that it shows.
    pub fn position(&self) -> u64 {
        self.checkpoint().position
    }

    /// Where it stands.
    pub fn checkpoint(&self) -> Checkpoint {
        let live = self.live.as_ref();
        live.map_or(Checkpoint::START, |it| it.checkpoint)
    }
}

impl Parking {
    /// Of these projections.
    pub fn new(engine: Arc<dyn Engine>, projections: Vec<Arc<dyn Projection>>) -> Self {
        Self {
            engine,
            projections,
            turn: Mutex::default(),
        }
    }

    /// How far the read models are, and what is parked.
    pub async fn standing(&self) -> Result<Standing, EngineError> {
        Ok(Standing {
            models: self.models().await?,
            head: self.engine.head().await?.position,
        })
    }

    async fn models(&self) -> Result<Vec<StandingModel>, EngineError> {
        let generations = self.engine.generations().await?;
        let parked = self.engine.parked().await?;
        let models = self.projections.iter().map(|it| {
            let model = it.model();
            let is_live = |it: &&Generation| it.is_of(model) && it.state == State::Live;
            let live = generations.iter().find(is_live);
            let others = generations.iter().filter(|it| it.model == model.name);
            let others = others.filter(|it| Some(*it) != live);
            let parked_here = |it: &&Parked| live.is_some_and(|live| live.name == it.model);
            let mut parked: Vec<_> = parked.iter().filter(parked_here).cloned().collect();
            parked.sort_by_key(|it| it.position);
            StandingModel {
                model,
                stream_type: it.stream_type(),
                live: live.cloned(),
                others: others.cloned().collect(),
                parked,
            }
        });
        Ok(models.collect())
    }

    /// Since when a model shows less of a parked stream than the log: when the first event that it could not fold was
    /// recorded.
    pub async fn since(&self, parked: &Parked) -> Result<Option<Timestamp>, EngineError> {
        let event = self.engine.event_at(parked.position).await?;
        Ok(event.map(|it| it.recorded_at()))
    }

    /// Folds a parked stream from its first event, and lets it go where that succeeds. `None` where the model of this name
    /// has not parked it.
    pub async fn retry(
        &self,
        name: &str,
        stream_id: StreamId,
    ) -> Result<Option<Retried>, EngineError> {
        let projection = self.projections.iter().find(|it| it.model().name == name);
        let Some(projection) = projection else {
            return Ok(None);
        };
        let model = projection.model();
        let Some(mut found) = self.parked(model, stream_id).await? else {
            return Ok(None);
        };
        let _turn = self.turn.lock().await;
        for _ in 0..ATTEMPTS {
            let (table, parked) = &found;
            if let Some(stuck) = self.attempt(&**projection, *table, parked).await? {
                return Ok(Some(stuck));
            }
            found = match self.parked(model, stream_id).await? {
                Some(found) => found,
                None => return Ok(Some(Retried::Whole)),
            };
        }
        Ok(Some(Retried::Outrun))
    }

    /// In the generation that is read.
    async fn parked(
        &self,
        model: &'static Model,
        stream_id: StreamId,
    ) -> Result<Option<(Table, Parked)>, EngineError> {
        let generations = self.engine.generations().await?;
        let mut generations = generations.iter();
        let live = generations.find(|it| it.is_of(model) && it.state == State::Live);
        let Some(Generation { generation, .. }) = live else {
            return Ok(None);
        };
        let table = Table {
            model,
            generation: *generation,
        };
        let parked = self.engine.parked().await?;
        let mut parked = parked.into_iter();
        let parked = parked.find(|it| it.model == table.name() && it.stream_id == stream_id);
        Ok(parked.map(|it| (table, it)))
    }

    /// `None` where another was faster.
    async fn attempt(
        &self,
        projection: &dyn Projection,
        table: Table,
        parked: &Parked,
    ) -> Result<Option<Retried>, EngineError> {
        let refolded = Refolded::new(projection, table);
        let (rows, end) = self.refold(refolded, parked.stream_id).await?;
        let replay = Replay { parked, rows, end };
        match self.engine.replay(&replay).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(refused) if Blame::of(&refused) == Blame::Row => {
                return Ok(Some(Retried::Parked(Parked {
                    reason: reason(&refused),
                    ..parked.clone()
                })));
            }
            Err(error) => return Err(error),
        }
        Ok(Some(match replay.end {
            ReplayEnd::Whole { .. } => Retried::Whole,
            ReplayEnd::Stuck { position, reason } => Retried::Parked(Parked {
                position,
                reason,
                ..parked.clone()
            }),
        }))
    }

    /// The stream's rows from its first event on, and how far that goes.
    async fn refold(
        &self,
        mut refolded: Refolded<'_>,
        stream_id: StreamId,
    ) -> Result<(Vec<(Table, Vec<Row>)>, ReplayEnd), EngineError> {
        let mut version = 0;
        loop {
            let events = self
                .engine
                .stream(Scope::AllTenants, stream_id, version, PAGE)
                .await?;
            let Some(last) = events.last() else {
                return Ok((refolded.into_rows(), ReplayEnd::Whole { version }));
            };
            version = last.version;
            let events: Vec<_> = events.into_iter().map(Arc::new).collect();
            if let Some((position, reason)) = refolded.go_on(&events) {
                return Ok((refolded.into_rows(), ReplayEnd::Stuck { position, reason }));
            }
        }
    }
}
