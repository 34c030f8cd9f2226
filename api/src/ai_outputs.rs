//! Handlers of `/imaging-ai/outputs`.

use axum::extract::State;
use axum::response::Response;
use roentgen_commands::CommandOutcome;
use roentgen_commands::ai_task::AddOutput;
use roentgen_domain::Versioned;
use roentgen_domain::ai_task::{AiOutput, AiTask, OutputType, Payload};
use roentgen_domain::growth::Size;
use roentgen_domain::ids::{AiTaskId, StreamId};
use roentgen_domain::json::{Json, Members, members_of};
use roentgen_projections::ai_outputs;
use roentgen_store::loader::{self, AsOf};
use roentgen_store::read_model::Row;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::command_request::{CommandRequest, TenantScopedBody, created_response};
use crate::openapi::{AiOutputDocument, values};
use crate::problem::Problem;
use crate::read_request::{PathId, ReadRequest, answer};
use crate::render::{self, OpenedPhi, PhiState};
use crate::validation::{self, BodyValidator, FreeObject};

const COLLECTION: &str = "/imaging-ai/outputs";

/// A result of an AI task.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAiOutput {
    /// Task that produced the output; must exist.
    #[schema(required, value_type = Uuid)]
    imaging_ai_task_id: Option<Uuid>,
    /// triage, quality, finding_list, bbox, segmentation, suggested_report or comparison.
    #[schema(required, value_type = values::AiOutputType, example = "triage")]
    output_type: Option<String>,
    /// Payload; required members depend on `output_type`, additional members are preserved.
    #[schema(required, value_type = Object)]
    payload: Option<FreeObject>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

impl TenantScopedBody for NewAiOutput {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl NewAiOutput {
    fn parse(self) -> Result<AddOutput, Problem> {
        let mut fields = BodyValidator::default();
        let task = fields.required("/imaging_ai_task_id", self.imaging_ai_task_id);
        let output_type = fields.required("/output_type", self.output_type);
        let output_type = fields.enum_value(
            "/output_type",
            output_type,
            OutputType::parse,
            OutputType::NAMES,
        );
        let payload = fields.required("/payload", self.payload);
        let payload = output_type.zip(payload);
        let payload = payload.and_then(|(of, object)| checked(of, &object, &mut fields));
        fields.finish(task.zip(payload).map(|(task, payload)| AddOutput {
            task_id: AiTaskId::from(task),
            payload,
        }))
    }
}

fn checked(of: OutputType, object: &FreeObject, fields: &mut BodyValidator) -> Option<Payload> {
    match Payload::parse(of, object.json()) {
        Ok(payload) => Some(payload),
        Err(wrong) => {
            for error in wrong {
                fields.push_error(&format!("/payload{}", error.pointer), error.detail);
            }
            None
        }
    }
}

/// Adds an output to an AI task. The payload is validated against its output type.
#[utoipa::path(post, path = "/imaging-ai/outputs", request_body = NewAiOutput,
    responses((status = 201, body = AiOutputDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let output = call.body_as(NewAiOutput::parse).await?;
    let outcome = call.execute(&app, &output).await?;
    let (id, body) = created_output(&outcome, output.payload)?;
    Ok(created_response(COLLECTION, id, &outcome, body))
}

/// Renders the stored output, which is the task's latest. An idempotent retry must send the same payload.
fn created_output(
    outcome: &CommandOutcome<AiTask>,
    payload: Payload,
) -> Result<(Uuid, String), Problem> {
    let task = &outcome.resource;
    let id = task.state.latest_output_id.ok_or_else(Problem::not_found)?;
    let output_type = payload.output_type();
    let (open, phi) = payload.into_parts();
    let output = Versioned {
        id: StreamId::from(id.as_uuid()),
        tenant_id: task.tenant_id,
        state: AiOutput::from_task(&task.state.request, output_type, open),
        created_at: task.updated_at,
        updated_at: task.updated_at,
        version: task.version,
        size: Size::default(),
    };
    let document = serde_json::to_string(&output).unwrap_or_default();
    let phi = OpenedPhi::Open(members_of(&phi));
    Ok((id.as_uuid(), with_opened_payload(&document, phi)))
}

/// Renders an output with its complete payload: decrypted members are merged back into place.
fn with_opened_payload(document: &str, phi: OpenedPhi<Members>) -> String {
    let mut output: Members = serde_json::from_str(document).unwrap_or_default();
    output.extend(members_of(&PhiMember { phi: phi.state() }));
    if let OpenedPhi::Open(mut phi) = phi {
        let further = phi.remove("further").map(|further| members_of(&further));
        let payload = phi.remove("payload").or_else(|| output.remove("payload"));
        let payload = match (payload, further) {
            (Some(payload), Some(further)) => {
                let mut members = members_of(&payload);
                members.extend(further);
                Json::from_serializable(&members).ok()
            }
            (payload, None | Some(_)) => payload,
        };
        output.extend(payload.map(|payload| ("payload".to_owned(), payload)));
    }
    serde_json::to_string(&output).unwrap_or_default()
}

/// The `phi` member: state of a resource's PHI.
#[derive(Serialize)]
struct PhiMember {
    phi: PhiState,
}

/// Renders an output for a list, with its payload decrypted.
async fn render_row(app: &App, row: Row) -> Result<String, Problem> {
    let phi = opened(app, &row).await?;
    Ok(with_opened_payload(&row.document, phi))
}

/// Renders an output with its payload decrypted; returns `None` if the payload is unreadable.
pub(crate) async fn render_if_readable(app: &App, row: &Row) -> Result<Option<String>, Problem> {
    let phi = opened(app, row).await?;
    let is_readable = phi.state() != PhiState::Unreadable;
    Ok(is_readable.then(|| with_opened_payload(&row.document, phi)))
}

async fn opened(app: &App, row: &Row) -> Result<OpenedPhi<Members>, Problem> {
    match (ai_outputs::task_of(row), row.patient_id) {
        (Some(task), Some(patient)) => {
            render::opened(row, task.into(), patient, &app.store.keyring).await
        }
        (None, _) | (_, None) => Ok(OpenedPhi::Open(Members::new())),
    }
}

/// Lists AI outputs, newest first.
#[utoipa::path(get, path = "/imaging-ai/outputs",
    params(("imaging_ai_task_id" = Option<Uuid>, Query),
        ("imaging_study_id" = Option<Uuid>, Query), ("output_type" = Option<values::AiOutputType>, Query),
        crate::openapi::PageParameters),
    responses((status = 200, body = [AiOutputDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let filters = ai_outputs::Filters {
        imaging_ai_task_id: query.take_uuid("imaging_ai_task_id")?,
        imaging_study_id: query.take_uuid("imaging_study_id")?,
        output_type: query.take_enum("output_type", OutputType::parse, OutputType::NAMES)?,
    };
    query.finish()?;
    let page = ai_outputs::page(read.tenant, &filters, page.after, page.limit);
    read.list_as(&app, page, |row| render_row(&app, row)).await
}

/// Returns an AI output. Outputs are immutable; with `as_of`, 404 if the output did not exist then.
#[utoipa::path(get, path = "/imaging-ai/outputs/{id}",
    params(("id" = Uuid, Path), crate::openapi::AsOfParameter),
    responses((status = 200, body = AiOutputDocument)))]
pub(crate) async fn one(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let as_of = query.take_as_of()?;
    query.finish()?;
    read.reaches(&app, as_of).await?;
    let (row, shown) = read.row(&app, &ai_outputs::MODEL, id).await?;
    if !existed_at(&app, &row, as_of).await? {
        return Err(Problem::not_found());
    }
    let phi = opened(&app, &row).await?;
    if matches!(phi, OpenedPhi::Damaged) {
        return Err(Problem::already_logged());
    }
    Ok(answer(
        with_opened_payload(&row.document, phi),
        row.version,
        shown,
    ))
}

/// Returns whether the task's stream had reached the output's version at that time.
async fn existed_at(app: &App, row: &Row, as_of: AsOf) -> Result<bool, Problem> {
    if matches!(as_of, AsOf::Now) {
        return Ok(true);
    }
    let task = ai_outputs::task_of(row).ok_or_else(Problem::not_found)?;
    let reads = app.reads(row.tenant_id);
    let keyring = &app.store.keyring;
    let task = loader::load::<AiTask>(&reads, keyring, task.into(), as_of).await?;
    Ok(task.is_some_and(|task| task.version >= row.version))
}
