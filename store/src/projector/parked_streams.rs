//! Parked streams: which there are, and how they are folded again, by any node, beside the projector that leads.

use std::sync::Arc;

use roentgen_domain::Timestamp;
use roentgen_domain::ids::StreamId;
use tokio::sync::Mutex;

use super::Projection;
use super::blame::{FailureScope, reason};
use super::stream_fold::StreamFold;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::generation::{Generation, GenerationState};
use crate::read_model::{Checkpoint, ParkedRetry, ParkedStream, ReadModel, RetryEnd, Row, Table};
use crate::reads::Scope;

/// Events that are read at once.
const PAGE: u32 = 100;
/// How often a stream is folded again because the projector was faster.
const MAX_RETRY_ATTEMPTS: usize = 32;

/// The read models' parked streams.
#[derive(Debug)]
pub struct ParkedStreams {
    engine: Arc<dyn Engine>,
    projections: Vec<Arc<dyn Projection>>,
    /// One stream at a time: the projector needs connections too.
    turn: Mutex<()>,
}

/// How far the read models are, and what is parked of them.
#[derive(Debug)]
pub struct ProjectionStatus {
    /// The last position of the log.
    pub head: u64,
    /// Each model, in the order of their declaration.
    pub models: Vec<ReadModelStatus>,
}

/// A read model: the generation that is read, and what is parked of it, by position.
#[derive(Debug)]
pub struct ReadModelStatus {
    /// Its shape.
    pub model: &'static ReadModel,
    /// The type of the streams that it folds.
    pub stream_type: &'static str,
    /// What is read; `None` where there is nothing yet.
    pub live: Option<Generation>,
    /// Its other generations, and those of its other versions: in the making, failed, or kept.
    pub others: Vec<Generation>,
    /// The streams that the live generation could not fold.
    pub parked: Vec<ParkedStream>,
}

/// What became of a stream that was folded again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryOutcome {
    /// It is parked no more: the model shows all of it.
    Resolved,
    /// It stays parked, from this position on and for this reason.
    StillParked(ParkedStream),
    /// The projector passed events of the stream each time that it was folded. Nothing was written.
    Contended,
}

impl ProjectionStatus {
    /// The last position that all of the read models show.
    pub fn position(&self) -> u64 {
        let positions = self.models.iter().map(ReadModelStatus::position);
        positions.min().unwrap_or(0)
    }

    /// How many events come after that.
    pub fn lag(&self) -> u64 {
        self.head.saturating_sub(self.position())
    }
}

impl ReadModelStatus {
    /// The last position that it shows.
    pub fn position(&self) -> u64 {
        self.checkpoint().position
    }

    /// Where it stands.
    pub fn checkpoint(&self) -> Checkpoint {
        let live = self.live.as_ref();
        live.map_or(Checkpoint::START, |generation| generation.checkpoint)
    }
}

impl ParkedStreams {
    /// Of these projections.
    pub fn new(engine: Arc<dyn Engine>, projections: Vec<Arc<dyn Projection>>) -> Self {
        Self {
            engine,
            projections,
            turn: Mutex::default(),
        }
    }

    /// Returns the checkpoints of the read models and what is parked.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails.
    pub async fn status(&self) -> Result<ProjectionStatus, EngineError> {
        Ok(ProjectionStatus {
            models: self.models().await?,
            head: self.engine.head().await?.position,
        })
    }

    async fn models(&self) -> Result<Vec<ReadModelStatus>, EngineError> {
        let generations = self.engine.generations().await?;
        let parked = self.engine.parked().await?;
        let models = self.projections.iter().map(|projection| {
            let model = projection.model();
            let is_live = |generation: &&Generation| {
                generation.matches(model) && generation.state == GenerationState::Live
            };
            let live = generations.iter().find(is_live);
            let others = generations
                .iter()
                .filter(|generation| generation.model == model.name);
            let others = others.filter(|generation| Some(*generation) != live);
            let parked_here =
                |parked: &&ParkedStream| live.is_some_and(|live| live.name == parked.model);
            let mut parked: Vec<_> = parked.iter().filter(parked_here).cloned().collect();
            parked.sort_by_key(|parked| parked.position);
            ReadModelStatus {
                model,
                stream_type: projection.stream_type(),
                live: live.cloned(),
                others: others.cloned().collect(),
                parked,
            }
        });
        Ok(models.collect())
    }

    /// Returns when the first event that the model cannot apply was recorded: since then it shows less of the stream
    /// than the log has.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails.
    pub async fn since(&self, parked: &ParkedStream) -> Result<Option<Timestamp>, EngineError> {
        let event = self.engine.event_at(parked.position).await?;
        Ok(event.map(|event| event.recorded_at()))
    }

    /// Folds a parked stream from its first event, and releases it if that succeeds. `None` if the model of this name
    /// has not parked it.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails; nothing was written.
    pub async fn retry(
        &self,
        name: &str,
        stream_id: StreamId,
    ) -> Result<Option<RetryOutcome>, EngineError> {
        let projection = self
            .projections
            .iter()
            .find(|projection| projection.model().name == name);
        let Some(projection) = projection else {
            return Ok(None);
        };
        let model = projection.model();
        let Some(mut found) = self.parked(model, stream_id).await? else {
            return Ok(None);
        };
        let _turn = self.turn.lock().await;
        for _ in 0..MAX_RETRY_ATTEMPTS {
            let (table, parked) = &found;
            if let Some(stuck) = self.attempt(&**projection, *table, parked).await? {
                return Ok(Some(stuck));
            }
            found = match self.parked(model, stream_id).await? {
                Some(found) => found,
                None => return Ok(Some(RetryOutcome::Resolved)),
            };
        }
        Ok(Some(RetryOutcome::Contended))
    }

    /// In the generation that is read.
    async fn parked(
        &self,
        model: &'static ReadModel,
        stream_id: StreamId,
    ) -> Result<Option<(Table, ParkedStream)>, EngineError> {
        let generations = self.engine.generations().await?;
        let mut generations = generations.iter();
        let live = generations.find(|generation| {
            generation.matches(model) && generation.state == GenerationState::Live
        });
        let Some(Generation { generation, .. }) = live else {
            return Ok(None);
        };
        let table = Table {
            model,
            generation: *generation,
        };
        let parked = self.engine.parked().await?;
        let mut parked = parked.into_iter();
        let parked =
            parked.find(|parked| parked.model == table.name() && parked.stream_id == stream_id);
        Ok(parked.map(|parked| (table, parked)))
    }

    /// `None` where another was faster.
    async fn attempt(
        &self,
        projection: &dyn Projection,
        table: Table,
        parked: &ParkedStream,
    ) -> Result<Option<RetryOutcome>, EngineError> {
        let refolded = StreamFold::new(projection, table);
        let (rows, end) = self.refold(refolded, parked.stream_id).await?;
        let replay = ParkedRetry { parked, rows, end };
        match self.engine.write_parked_retry(&replay).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(refused) if FailureScope::classify(&refused) == FailureScope::Row => {
                return Ok(Some(RetryOutcome::StillParked(ParkedStream {
                    reason: reason(&refused),
                    ..parked.clone()
                })));
            }
            Err(error) => return Err(error),
        }
        Ok(Some(match replay.end {
            RetryEnd::Complete { .. } => RetryOutcome::Resolved,
            RetryEnd::Blocked { position, reason } => RetryOutcome::StillParked(ParkedStream {
                position,
                reason,
                ..parked.clone()
            }),
        }))
    }

    /// The stream's rows from its first event on, and how far that goes.
    async fn refold(
        &self,
        mut refolded: StreamFold<'_>,
        stream_id: StreamId,
    ) -> Result<(Vec<(Table, Vec<Row>)>, RetryEnd), EngineError> {
        let mut version = 0;
        loop {
            let events = self
                .engine
                .read_stream(Scope::AllTenants, stream_id, version, PAGE)
                .await?;
            let Some(last) = events.last() else {
                return Ok((refolded.into_rows(), RetryEnd::Complete { version }));
            };
            version = last.version;
            let events: Vec<_> = events.into_iter().map(Arc::new).collect();
            if let Some((position, reason)) = refolded.apply(&events) {
                return Ok((refolded.into_rows(), RetryEnd::Blocked { position, reason }));
            }
        }
    }
}
