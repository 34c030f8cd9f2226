//! Handlers of `/imaging-ai/tasks`.

use axum::extract::State;
use axum::response::Response;
use roentgen_commands::ai_task::{ChangeTaskStatus, RequestTask, TaskRequest};
use roentgen_domain::ai_model::TaskType;
use roentgen_domain::ai_task::{AiTask, Status, StatusChange};
use roentgen_domain::ids::{AiModelId, StudyId};
use roentgen_domain::text::Text;
use roentgen_projections::ai_tasks;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::authorization::Permission;
use crate::command_request::{
    CommandRequest, CommandRequestWithQuery, SuccessKind, TenantScopedBody,
};
use crate::openapi::{AiTaskDocument, values};
use crate::problem::Problem;
use crate::query_params::StrictQuery;
use crate::read_request::{PathId, ReadRequest};
use crate::validation::{self, BodyValidator, is_blank};

const COLLECTION: &str = "/imaging-ai/tasks";

/// An AI task request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAiTask {
    /// Study to analyse; must exist.
    #[schema(required, value_type = Uuid)]
    imaging_study_id: Option<Uuid>,
    /// Model; must exist, be active and support `task_type`.
    #[schema(required, value_type = Uuid)]
    ai_model_id: Option<Uuid>,
    /// triage, quality, pre_report, comparison, detection or segmentation.
    #[schema(required, value_type = values::AiTaskType, example = "triage")]
    task_type: Option<String>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Status update of an AI task.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AiTaskStatus {
    /// queued, running, completed, failed or cancelled.
    #[schema(required, value_type = values::AiTaskStatusName, example = "running")]
    status: Option<String>,
    /// Failure reason; only with status failed.
    #[schema(value_type = values::Prose, required = false)]
    error_message: Option<String>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

impl TenantScopedBody for NewAiTask {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for AiTaskStatus {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl NewAiTask {
    fn parse(self) -> Result<RequestTask, Problem> {
        let mut fields = BodyValidator::default();
        let study = fields.required("/imaging_study_id", self.imaging_study_id);
        let model = fields.required("/ai_model_id", self.ai_model_id);
        let task_type = fields.required("/task_type", self.task_type);
        let task_type =
            fields.enum_value("/task_type", task_type, TaskType::parse, TaskType::NAMES);
        let whole = study.zip(model).zip(task_type);
        fields.finish(whole.map(|((study, model), task_type)| {
            RequestTask(TaskRequest {
                imaging_study_id: StudyId::from(study),
                ai_model_id: AiModelId::from(model),
                task_type,
            })
        }))
    }
}

impl AiTaskStatus {
    /// Merges the members of the body and of the query; each may be given in one of the two only.
    fn parse(self, mut query: StrictQuery) -> Result<StatusChange, Problem> {
        let message = self.error_message.filter(|text| !is_blank(text));
        let asked = self.status.is_some();
        let told = message.is_some();
        let status = query.take_enum("status", Status::parse, Status::NAMES)?;
        let error_message = query.take_optional("error_message", |text| Text::parse(text))?;
        query.finish()?;
        for (name, twice) in [
            ("status", asked && status.is_some()),
            ("error_message", told && error_message.is_some()),
        ] {
            if twice {
                return Err(Problem::parameter(
                    name,
                    "given in both the query and the body",
                ));
            }
        }
        let mut fields = BodyValidator::default();
        let in_body = fields.enum_value("/status", self.status, Status::parse, Status::NAMES);
        if !asked && status.is_none() {
            fields.push_error("/status", "is required");
        }
        let told = fields.text("/error_message", message);
        let error_message = told.or(error_message);
        fields.finish(in_body.or(status).map(|status| StatusChange {
            status,
            error_message,
        }))
    }
}

/// Requests an AI task for a study. If an open or completed task for the same study, model and type exists, returns it
/// (200); after a failed or cancelled task, creates a new attempt (201).
#[utoipa::path(post, path = "/imaging-ai/tasks", request_body = NewAiTask,
    responses((status = 201, body = AiTaskDocument), (status = 200, body = AiTaskDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let asked = call.body::<NewAiTask>()?.parse()?;
    call.run(&app, &asked, SuccessKind::Upserted(COLLECTION))
        .await
}

/// Lists AI tasks, newest first by `requested_at`.
#[utoipa::path(get, path = "/imaging-ai/tasks",
    params(("imaging_study_id" = Option<Uuid>, Query), ("ai_model_id" = Option<Uuid>, Query),
        ("task_type" = Option<values::AiTaskType>, Query), ("status" = Option<values::AiTaskStatusName>, Query),
        crate::openapi::PageParameters),
    responses((status = 200, body = [AiTaskDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let filters = ai_tasks::Filters {
        imaging_study_id: query.take_uuid("imaging_study_id")?,
        ai_model_id: query.take_uuid("ai_model_id")?,
        task_type: query.take_enum("task_type", TaskType::parse, TaskType::NAMES)?,
        status: query.take_enum("status", Status::parse, Status::NAMES)?,
    };
    query.finish()?;
    read.list(
        &app,
        ai_tasks::page(read.tenant, &filters, page.after, page.limit),
    )
    .await
}

/// Returns an AI task.
#[utoipa::path(get, path = "/imaging-ai/tasks/{id}",
    params(("id" = Uuid, Path), crate::openapi::AsOfParameter),
    responses((status = 200, body = AiTaskDocument)))]
pub(crate) async fn one(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    read.get::<AiTask>(&app, &ai_tasks::MODEL, id.into()).await
}

/// Returns the permission that a status change needs: requesters cancel tasks, workers report every other status.
fn needed(status: Status) -> Permission {
    match status {
        Status::Cancelled => Permission::RequestAiTasks,
        Status::Queued | Status::Running | Status::Completed | Status::Failed => {
            Permission::WriteAiResults
        }
    }
}

/// Updates the status of an AI task, or cancels it. Fields may be sent in the body or in the query.
#[utoipa::path(patch, path = "/imaging-ai/tasks/{id}/status",
    params(("id" = Uuid, Path), ("status" = Option<values::AiTaskStatusName>, Query),
        ("error_message" = Option<values::QueryText>, Query)),
    request_body = AiTaskStatus,
    responses((status = 200, body = AiTaskDocument)))]
pub(crate) async fn update_status(
    State(app): State<App>,
    PathId(id): PathId,
    CommandRequestWithQuery { call, query }: CommandRequestWithQuery,
) -> Result<Response, Problem> {
    let body = call.body_or_default::<AiTaskStatus>()?;
    let to = body.parse(query)?;
    call.caller.require(needed(to.status))?;
    call.run(
        &app,
        &ChangeTaskStatus { id: id.into(), to },
        SuccessKind::Updated,
    )
    .await
}
