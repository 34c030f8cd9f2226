//! Parked streams: which there are, and how they are folded again, by any node, beside the projector that leads.

use std::collections::HashMap;
use std::sync::Arc;

use roentgen_domain::Timestamp;
use roentgen_domain::ids::StreamId;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::batch::progress_row;
use super::{Folded, FoldedRows, Folding, FoldsRow, FoldsRows, GROUP, Projection};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::log::StoredEvent;
use crate::model::{Model, Parked, Replay, ReplayEnd, Row};

/// Events that are read at once.
const PAGE: u32 = 100;
/// How often a stream is folded again because the projector was faster.
const ATTEMPTS: usize = 32;

/// The group's parked streams.
#[derive(Debug)]
pub struct Parking {
    engine: Arc<dyn Engine>,
    projections: Vec<Arc<dyn Projection>>,
    /// One stream at a time: the projector needs connections too.
    turn: Mutex<()>,
}

/// How far the group is, and what it has parked.
#[derive(Debug)]
pub struct Standing {
    /// The last position of the log.
    pub head: u64,
    /// The last position that the read models show.
    pub position: u64,
    /// Each model, in the order of their declaration.
    pub models: Vec<StandingModel>,
}

/// A read model and what is parked of it, by position.
#[derive(Debug)]
pub struct StandingModel {
    /// Its table.
    pub model: &'static Model,
    /// The type of the streams that it folds.
    pub stream_type: &'static str,
    /// The streams that it could not fold.
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
    /// How many events come after what the read models show.
    pub fn lag(&self) -> u64 {
        self.head.saturating_sub(self.position)
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

    /// How far the group is, and what is parked.
    pub async fn standing(&self) -> Result<Standing, EngineError> {
        Ok(Standing {
            position: self.engine.checkpoint(GROUP).await?.position,
            head: self.engine.head().await?.position,
            models: self.models().await?,
        })
    }

    /// How many streams are parked.
    pub async fn count(&self) -> Result<usize, EngineError> {
        let models = self.models().await?;
        Ok(models.iter().map(|it| it.parked.len()).sum())
    }

    /// Writes down how many streams each model has parked; nothing where the database does not say.
    pub async fn measure(&self) {
        for it in self.models().await.unwrap_or_default() {
            metrics::gauge!("roentgen_parked_streams", "projection" => it.model.name)
                .set(it.parked.len() as f64);
        }
    }

    async fn models(&self) -> Result<Vec<StandingModel>, EngineError> {
        let mut parked: HashMap<String, Vec<Parked>> = HashMap::new();
        for it in self.engine.parked(GROUP).await? {
            parked.entry(it.model.clone()).or_default().push(it);
        }
        let models = self.projections.iter().map(|it| {
            let model = it.model();
            let mut parked = parked.remove(&model.table()).unwrap_or_default();
            parked.sort_by_key(|it| it.position);
            StandingModel {
                model,
                stream_type: it.stream_type(),
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
        let table = projection.model().table();
        let Some(mut parked) = self.parked(&table, stream_id).await? else {
            return Ok(None);
        };
        let _turn = self.turn.lock().await;
        for _ in 0..ATTEMPTS {
            if let Some(stuck) = self.attempt(&**projection, &parked).await? {
                return Ok(Some(stuck));
            }
            parked = match self.parked(&table, stream_id).await? {
                Some(parked) => parked,
                None => return Ok(Some(Retried::Whole)),
            };
        }
        Ok(Some(Retried::Outrun))
    }

    async fn parked(
        &self,
        table: &str,
        stream_id: StreamId,
    ) -> Result<Option<Parked>, EngineError> {
        let parked = self.engine.parked(GROUP).await?;
        let mut parked = parked.into_iter();
        Ok(parked.find(|it| it.model == table && it.stream_id == stream_id))
    }

    /// `None` where another was faster.
    async fn attempt(
        &self,
        projection: &dyn Projection,
        parked: &Parked,
    ) -> Result<Option<Retried>, EngineError> {
        let (rows, end) = self.refold(projection, parked.stream_id).await?;
        let replay = Replay {
            projection: GROUP,
            parked,
            rows,
            end,
        };
        if !self.engine.replay(&replay).await? {
            return Ok(None);
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
        projection: &dyn Projection,
        stream_id: StreamId,
    ) -> Result<(Vec<(&'static Model, Vec<Row>)>, ReplayEnd), EngineError> {
        let mut refolded = Refolded::new(projection);
        let mut version = 0;
        loop {
            let events = self.engine.stream(stream_id, version, PAGE).await?;
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

/// What a stream has made so far.
enum Refolded<'a> {
    Row {
        model: &'static Model,
        projection: &'a dyn FoldsRow,
        row: Option<Row>,
    },
    Rows {
        model: &'static Model,
        projection: &'a dyn FoldsRows,
        rows: HashMap<Uuid, Row>,
        last: Option<Arc<StoredEvent>>,
    },
}

impl<'a> Refolded<'a> {
    fn new(projection: &'a dyn Projection) -> Self {
        let model = projection.model();
        match projection.folding() {
            Folding::Row(projection) => Self::Row {
                model,
                projection,
                row: None,
            },
            Folding::Rows(projection) => Self::Rows {
                model,
                projection,
                rows: HashMap::new(),
                last: None,
            },
        }
    }

    /// Folds the next events. Returns the first that could not be folded, and why.
    fn go_on(&mut self, events: &[Arc<StoredEvent>]) -> Option<(u64, String)> {
        match self {
            Self::Row {
                projection, row, ..
            } => {
                let folded = projection.fold(row.take(), events);
                let Folded { row: after, stuck } = folded;
                *row = after;
                stuck
            }
            Self::Rows {
                projection,
                rows,
                last,
                ..
            } => {
                let touched = projection.changes(events).into_iter();
                let touched = touched.filter_map(|id| Some((id, rows.get(&id)?.clone())));
                let FoldedRows {
                    rows: after,
                    folded,
                    stuck,
                } = projection.fold(touched.collect(), events);
                rows.extend(after.into_iter().map(|it| (it.id, it)));
                *last = folded.or(last.take());
                stuck
            }
        }
    }

    fn into_rows(self) -> Vec<(&'static Model, Vec<Row>)> {
        match self {
            Self::Row { model, row, .. } => vec![(model, row.into_iter().collect())],
            Self::Rows {
                model,
                projection,
                rows,
                last,
            } => vec![
                (model, rows.into_values().collect()),
                (
                    projection.progress(),
                    last.iter().map(|it| progress_row(it)).collect(),
                ),
            ],
        }
    }
}
