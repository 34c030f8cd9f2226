//! Handlers of `/imaging/modalities`.

use axum::extract::State;
use axum::response::Response;
use roentgen_domain::Change;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::modality::{Changes, Modality};
use roentgen_projections::modalities;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::command_request::{CommandRequest, TenantScopedBody};
use crate::openapi::{ModalityDocument, values};
use crate::problem::Problem;
use crate::read_request::{PathId, ReadRequest};
use crate::validation::{self, BodyValidator};

const COLLECTION: &str = "/imaging/modalities";

/// A new modality.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewModality {
    /// 2 to 16 characters from A-Z, 0-9 and _; unique per tenant.
    #[schema(required, value_type = values::ModalityCode, example = "CT")]
    code: Option<String>,
    /// Display name.
    #[schema(required, value_type = values::Name, example = "Computed tomography")]
    name: Option<String>,
    /// Free-text description.
    #[schema(value_type = Option<values::Note>)]
    description: Option<String>,
    /// Whether the entry is active; default true.
    is_active: Option<bool>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Changes to a modality; `null` removes an optional member. `code` cannot be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModalityChanges {
    /// Display name.
    #[serde(default)]
    #[schema(value_type = values::Name, required = false)]
    name: Change<String>,
    /// Free-text description.
    #[serde(default)]
    #[schema(value_type = Option<values::Note>)]
    description: Change<String>,
    /// Whether the entry is active.
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    is_active: Change<bool>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

impl TenantScopedBody for NewModality {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for ModalityChanges {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl NewModality {
    fn parse(self) -> Result<Modality, Problem> {
        let mut fields = BodyValidator::default();
        let code = fields.required("/code", self.code);
        let code = fields.parse("/code", code, |text| ModalityCode::parse(&text));
        let name = fields.required("/name", self.name);
        let name = fields.name("/name", name);
        let description = fields.optional_text("/description", self.description);
        let is_active = self.is_active.unwrap_or(true);
        let whole = code.zip(name);
        fields.finish(whole.map(|(code, name)| Modality {
            code,
            name,
            description,
            is_active,
        }))
    }
}

impl ModalityChanges {
    fn parse(self) -> Result<Changes, Problem> {
        let mut fields = BodyValidator::default();
        let name = fields.kept("/name", self.name);
        let changes = Changes {
            name: fields.name("/name", name),
            description: fields.text_change("/description", self.description),
            is_active: fields.kept("/is_active", self.is_active),
        };
        fields.finish(Some(changes))
    }
}

/// Adds a modality to the catalog.
#[utoipa::path(post, path = "/imaging/modalities", request_body = NewModality,
    responses((status = 201, body = ModalityDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let modality = call.body::<NewModality>()?.parse()?;
    call.create(&app, COLLECTION, modality).await
}

/// Lists modalities, newest first.
#[utoipa::path(get, path = "/imaging/modalities",
    params(("is_active" = Option<bool>, Query), crate::openapi::PageParameters),
    responses((status = 200, body = [ModalityDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let filters = modalities::Filters {
        is_active: query.take_bool("is_active")?,
    };
    query.finish()?;
    read.list(
        &app,
        modalities::page(read.tenant, &filters, page.after, page.limit),
    )
    .await
}

/// Returns a modality.
#[utoipa::path(get, path = "/imaging/modalities/{id}",
    params(("id" = Uuid, Path), crate::openapi::AsOfParameter),
    responses((status = 200, body = ModalityDocument)))]
pub(crate) async fn one(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    read.get::<Modality>(&app, &modalities::MODEL, id.into())
        .await
}

/// Updates a modality.
#[utoipa::path(patch, path = "/imaging/modalities/{id}",
    params(("id" = Uuid, Path)), request_body = ModalityChanges,
    responses((status = 200, body = ModalityDocument)))]
pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let changes = call.body::<ModalityChanges>()?.parse()?;
    call.update::<Modality>(&app, id.into(), changes).await
}
