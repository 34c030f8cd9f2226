//! Handlers of `/admin/projections`: status of the read models, their parked streams, and the retry of one.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use roentgen_domain::ids::StreamId;
use roentgen_store::generation::Generation;
use roentgen_store::projector::{ProjectionStatus, ReadModelStatus, RetryOutcome};
use roentgen_store::read_model::ParkedStream;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::command_request::{EmptyRequest, json};
use crate::openapi::values;
use crate::problem::{Problem, ProblemCode};
use crate::query_params::parse_uuid;

/// Maximum number of parked streams listed per read model.
const PARKED_SHOWN: usize = 100;

/// Status of a read model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Projection)]
pub(crate) struct ProjectionDocument {
    /// Name.
    name: &'static str,
    /// Live table; absent until the first generation is built.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    table: Option<String>,
    /// Schema version; each version has its own table.
    version: u32,
    /// Projected stream type.
    stream_type: &'static str,
    /// Checkpoint: last log position applied.
    position: u64,
    /// Number of events after `position`.
    lag: u64,
    /// Number of parked streams.
    parked_count: usize,
    /// First 100 parked streams by position.
    parked: Vec<ParkedStreamDocument>,
    /// Other generations: being built, retired or failed.
    generations: Vec<GenerationDocument>,
}

/// A generation that is not live.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectionGeneration)]
pub(crate) struct GenerationDocument {
    table: String,
    version: u32,
    /// `filling`, `indexing`, `verifying`, `joining`, `live` (another release), `retired` or `failed`.
    state: &'static str,
    /// Checkpoint: last log position applied.
    position: u64,
    /// Failure reason: the first row that differs from the fold of its stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

impl From<&Generation> for GenerationDocument {
    fn from(of: &Generation) -> Self {
        Self {
            table: of.name.clone(),
            version: of.version,
            state: of.state.name(),
            position: of.checkpoint.position,
            reason: of.state.reason().map(str::to_owned),
        }
    }
}

/// A stream a read model cannot apply. Its row reflects events before `position`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkedStreamDocument {
    stream_id: Uuid,
    stream_type: &'static str,
    /// Position of the first event that could not be applied.
    position: u64,
    /// Reason, without event content.
    reason: String,
    /// Time at which that event was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<values::Time>, nullable = false)]
    since: Option<String>,
}

/// Lists read models with their checkpoints, lag and parked streams.
#[utoipa::path(get, path = "/admin/projections",
    responses((status = 200, body = [ProjectionDocument])))]
pub(crate) async fn list(State(app): State<App>, _: EmptyRequest) -> Result<Response, Problem> {
    let standing = app.parking.status().await?;
    let mut documents = Vec::with_capacity(standing.models.len());
    for model in &standing.models {
        documents.push(document(&app, &standing, model).await?);
    }
    answer(&documents)
}

/// Retries a parked stream from its first event. Returns the read model, or 409 if the stream is still parked.
#[utoipa::path(post, path = "/admin/projections/{name}/parked/{stream_id}/retry",
    params(("name" = String, Path), ("stream_id" = Uuid, Path)),
    responses((status = 200, body = ProjectionDocument), (status = 404), (status = 409)))]
pub(crate) async fn retry(
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
    _: EmptyRequest,
) -> Result<Response, Problem> {
    let Path((name, stream_id)) = path.map_err(|_| Problem::not_found())?;
    let stream_id = StreamId::from(parse_uuid("stream_id", &stream_id)?);
    let retried = app.parking.retry(&name, stream_id).await?;
    match retried.ok_or_else(Problem::not_found)? {
        RetryOutcome::Resolved => {}
        RetryOutcome::StillParked(ParkedStream {
            position, reason, ..
        }) => {
            let detail = format!("event at position {position} cannot be applied: {reason}");
            return Err(Problem::new(ProblemCode::StillParked, detail));
        }
        RetryOutcome::Contended => {
            let detail =
                "new events arrive faster than the stream can be folded; nothing was written";
            return Err(Problem::new(ProblemCode::Contention, detail));
        }
    }
    let standing = app.parking.status().await?;
    let model = standing
        .models
        .iter()
        .find(|status| status.model.name == name);
    let model = model.ok_or_else(Problem::not_found)?;
    answer(&document(&app, &standing, model).await?)
}

async fn document(
    app: &App,
    standing: &ProjectionStatus,
    of: &ReadModelStatus,
) -> Result<ProjectionDocument, Problem> {
    let mut parked = Vec::new();
    for parked_stream in of.parked.iter().take(PARKED_SHOWN) {
        let since = app.parking.since(parked_stream).await?;
        parked.push(ParkedStreamDocument {
            stream_id: parked_stream.stream_id.as_uuid(),
            stream_type: of.stream_type,
            position: parked_stream.position,
            reason: parked_stream.reason.clone(),
            since: since.map(|time| time.to_string()),
        });
    }
    Ok(ProjectionDocument {
        name: of.model.name,
        table: of.live.as_ref().map(|generation| generation.name.clone()),
        version: of.model.version,
        stream_type: of.stream_type,
        position: of.position(),
        lag: standing.head.saturating_sub(of.position()),
        parked_count: of.parked.len(),
        parked,
        generations: of.others.iter().map(GenerationDocument::from).collect(),
    })
}

fn answer(document: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_string(document).map_err(|error| Problem::internal(&error))?;
    Ok(json(StatusCode::OK, body))
}
