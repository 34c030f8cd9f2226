//! Lists and retries parked streams; any node can retry one in parallel to the leading projector.

use std::sync::Arc;

use roentgen_domain::Timestamp;
use roentgen_domain::ids::StreamId;
use tokio::sync::Mutex;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::generation::{Generation, GenerationState};
use crate::projection::Projection;
use crate::projection::failure_scope::{FailureScope, reason};
use crate::projection::stream_fold::StreamFold;
use crate::read_model::{Checkpoint, ParkedRetry, ParkedStream, ReadModel, RetryEnd, Row, Table};
use crate::readers::Scope;

/// Number of events per read.
const PAGE: u32 = 100;
/// Maximum number of attempts of one retry while the projector keeps passing the stream's events.
const MAX_RETRY_ATTEMPTS: usize = 32;

/// Status of the read models, and retries of their parked streams.
#[derive(Debug)]
pub struct ParkedStreams {
    engine: Arc<dyn Engine>,
    projections: Vec<Arc<dyn Projection>>,
    /// Lock for one retry at a time: the projector needs connections too.
    turn: Mutex<()>,
}

/// Progress of the read models, and their parked streams.
#[derive(Debug)]
pub struct ProjectionStatus {
    /// Position of the log's head.
    pub head: u64,
    /// Read models in the order of their declaration.
    pub models: Vec<ReadModelStatus>,
}

/// Status of one read model: its live generation and that generation's parked streams.
#[derive(Debug)]
pub struct ReadModelStatus {
    /// Schema of the read model.
    pub model: &'static ReadModel,
    /// Type of the streams that the read model folds.
    pub stream_type: &'static str,
    /// Generation that is read; `None` if none is live yet.
    pub live: Option<Generation>,
    /// Other generations, of this and of other schema versions: being built, failed or retired.
    pub others: Vec<Generation>,
    /// Streams that the live generation could not fold, by position.
    pub parked: Vec<ParkedStream>,
}

/// Outcome of retrying a parked stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryOutcome {
    /// The stream is no longer parked; the read model shows all of it.
    Resolved,
    /// The stream stays parked, from this position on and for this reason.
    StillParked(ParkedStream),
    /// The projector passed events of the stream during every attempt; nothing was written.
    Contended,
}

impl ProjectionStatus {
    /// Returns the last position that all read models have reached.
    pub fn position(&self) -> u64 {
        let positions = self.models.iter().map(ReadModelStatus::position);
        positions.min().unwrap_or(0)
    }

    /// Returns the number of events after that position.
    pub fn lag(&self) -> u64 {
        self.head.saturating_sub(self.position())
    }
}

impl ReadModelStatus {
    /// Returns the last position that the read model has reached.
    pub fn position(&self) -> u64 {
        self.checkpoint().position
    }

    /// Returns the checkpoint of the live generation, or the start of the log if none is live.
    pub fn checkpoint(&self) -> Checkpoint {
        let live = self.live.as_ref();
        live.map_or(Checkpoint::START, |generation| generation.checkpoint)
    }
}

impl ParkedStreams {
    /// Creates the service for these projections.
    pub fn new(engine: Arc<dyn Engine>, projections: Vec<Arc<dyn Projection>>) -> Self {
        Self {
            engine,
            projections,
            turn: Mutex::default(),
        }
    }

    /// Returns the progress of the read models and their parked streams.
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

    /// Returns the time at which the first event that the read model cannot apply was recorded. Since then the read
    /// model shows less of the stream than the log contains.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails.
    pub async fn since(&self, parked: &ParkedStream) -> Result<Option<Timestamp>, EngineError> {
        let event = self.engine.event_at(parked.position).await?;
        Ok(event.map(|event| event.recorded_at()))
    }

    /// Folds a parked stream from its first event, and unparks it if that succeeds. Returns `None` if the read model of
    /// this name has not parked it.
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

    /// Returns the parked stream, if the live generation has parked it.
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

    /// Retries the stream once. Returns `None` if another write was faster.
    async fn attempt(
        &self,
        projection: &dyn Projection,
        table: Table,
        parked: &ParkedStream,
    ) -> Result<Option<RetryOutcome>, EngineError> {
        let refolded = StreamFold::new(projection, table);
        let (rows, end) = self.refold(refolded, parked.stream_id).await?;
        let retry = ParkedRetry { parked, rows, end };
        match self.engine.write_parked_retry(&retry).await {
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
        Ok(Some(match retry.end {
            RetryEnd::Complete { .. } => RetryOutcome::Resolved,
            RetryEnd::Blocked { position, reason } => RetryOutcome::StillParked(ParkedStream {
                position,
                reason,
                ..parked.clone()
            }),
        }))
    }

    /// Folds the stream from its first event. Returns its rows and where the fold ended.
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
