//! Handlers of `/imaging-ai/models`.

mod endpoint;

use axum::extract::State;
use axum::response::Response;
use roentgen_commands::{CommandError, DomainError};
use roentgen_domain::Change;
use roentgen_domain::ai_model::{
    AiModel, Capabilities, CapabilitiesPatch, Changes, TaskType, Update,
};
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::{AiModelCode, ModalityCode};
use roentgen_projections::ai_models;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::command_request::{CommandRequest, TenantScopedBody};
use crate::openapi::{AiModelDocument, values};
use crate::problem::Problem;
use crate::read_request::{PathId, ReadRequest};
use crate::validation::{self, BodyValidator, JsonObject};
use endpoint::Endpoint;
pub(crate) use endpoint::{EndpointBody, NewEndpoint};

const COLLECTION: &str = "/imaging-ai/models";

/// A new AI model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAiModel {
    /// 1 to 64 characters from A-Z, 0-9, _, - and .; unique per tenant.
    #[schema(required, value_type = values::CatalogCode, example = "CT_HEAD_ICH_TRIAGE")]
    code: Option<String>,
    /// Display name.
    #[schema(required, value_type = values::Name)]
    name: Option<String>,
    /// Free-text description.
    #[schema(value_type = Option<values::Note>)]
    description: Option<String>,
    /// Intended modality; any if omitted.
    #[schema(value_type = Option<values::OptionalModalityCode>)]
    modality_code: Option<String>,
    /// Intended body part; any if omitted.
    #[schema(value_type = Option<values::Label>)]
    body_part: Option<String>,
    /// Supported task types.
    #[schema(required, value_type = CapabilitiesBody)]
    capabilities: Option<JsonObject<CapabilitiesBody>>,
    /// Vendor.
    #[schema(value_type = Option<values::Label>)]
    vendor: Option<String>,
    /// Vendor version; returned as `model_version`.
    #[schema(value_type = Option<values::Label>)]
    version: Option<String>,
    /// Alias of `version`, as returned in responses.
    #[schema(value_type = Option<values::Label>)]
    model_version: Option<String>,
    /// Inference endpoint.
    #[schema(value_type = Option<NewEndpoint>)]
    endpoint_config: Option<JsonObject<EndpointBody>>,
    /// Whether tasks may be requested; default true.
    is_active: Option<bool>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Changes to an AI model; `null` removes an optional member. `code` cannot be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AiModelChanges {
    /// Display name.
    #[serde(default)]
    #[schema(value_type = values::Name, required = false)]
    name: Change<String>,
    /// Free-text description.
    #[serde(default)]
    #[schema(value_type = Option<values::Note>)]
    description: Change<String>,
    /// Intended modality; any if null.
    #[serde(default)]
    #[schema(value_type = Option<values::OptionalModalityCode>)]
    modality_code: Change<String>,
    /// Intended body part; any if null.
    #[serde(default)]
    #[schema(value_type = Option<values::Label>)]
    body_part: Change<String>,
    /// Supported task types, merged by name; `null` removes one.
    #[serde(default)]
    #[schema(value_type = CapabilitiesBody, required = false)]
    capabilities: Change<JsonObject<CapabilitiesBody>>,
    /// Vendor.
    #[serde(default)]
    #[schema(value_type = Option<values::Label>)]
    vendor: Change<String>,
    /// Vendor version; returned as `model_version`.
    #[serde(default)]
    #[schema(value_type = Option<values::Label>)]
    version: Change<String>,
    /// Alias of `version`, as returned in responses.
    #[serde(default)]
    #[schema(value_type = Option<values::Label>)]
    model_version: Change<String>,
    /// Inference endpoint, merged by member; `null` removes an optional member, or the whole endpoint.
    #[serde(default)]
    #[schema(value_type = Option<EndpointBody>)]
    endpoint_config: Change<JsonObject<EndpointBody>>,
    /// Whether tasks may be requested.
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    is_active: Change<bool>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Task types the model supports; omitted types are unsupported.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AiCapabilities)]
pub(crate) struct CapabilitiesBody {
    /// Triage.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    triage: Change<bool>,
    /// Image quality assessment.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    quality: Change<bool>,
    /// Draft report generation.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pre_report: Change<bool>,
    /// Comparison with a prior study.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    comparison: Change<bool>,
    /// Detection and localisation of findings.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    detection: Change<bool>,
    /// Segmentation.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    segmentation: Change<bool>,
}

impl TenantScopedBody for NewAiModel {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for AiModelChanges {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl CapabilitiesBody {
    fn to_capabilities(&self) -> CapabilitiesPatch {
        let said = [
            (TaskType::Triage, self.triage),
            (TaskType::Quality, self.quality),
            (TaskType::PreReport, self.pre_report),
            (TaskType::Comparison, self.comparison),
            (TaskType::Detection, self.detection),
            (TaskType::Segmentation, self.segmentation),
        ];
        let said = said.into_iter().filter(|(_, can)| !can.is_keep());
        CapabilitiesPatch::new(said.map(|(name, can)| (name, can.value())))
    }
}

impl NewAiModel {
    fn parse(self) -> Result<(AiModel, Option<Endpoint>), Problem> {
        let mut fields = BodyValidator::default();
        let code = fields.required("/code", self.code);
        let code = fields.parse("/code", code, |text| AiModelCode::parse(&text));
        fields.required("/name", self.name.as_ref());
        fields.required("/capabilities", self.capabilities.as_ref());
        if let Some(JsonObject(endpoint)) = &self.endpoint_config
            && !endpoint.has_url()
        {
            fields.push_error("/endpoint_config/url", "is required");
        }
        let changes = AiModelChanges {
            name: self.name.into(),
            description: self.description.into(),
            modality_code: self.modality_code.into(),
            body_part: self.body_part.into(),
            capabilities: self.capabilities.into(),
            vendor: self.vendor.into(),
            version: self.version.into(),
            model_version: self.model_version.into(),
            endpoint_config: self.endpoint_config.into(),
            is_active: self.is_active.into(),
            tenant_id: None,
        };
        let (told, endpoint) = changes.check(&mut fields);
        let whole = code.zip(told.name).zip(told.capabilities);
        let model = whole.map(|((code, name), capabilities)| AiModel {
            code,
            name,
            description: told.description.value(),
            modality_code: told.modality_code.value(),
            body_part: told.body_part.value(),
            capabilities: Capabilities::default().patched(capabilities),
            vendor: told.vendor.value(),
            model_version: told.model_version.value(),
            endpoint_config: None,
            is_active: told.is_active.unwrap_or(true),
        });
        fields.finish(model).map(|model| (model, endpoint.value()))
    }
}

impl AiModelChanges {
    fn parse(self) -> Result<(Update, Change<Endpoint>), Problem> {
        let mut fields = BodyValidator::default();
        let checked = self.check(&mut fields);
        fields.finish(Some(checked))
    }

    fn check(self, fields: &mut BodyValidator) -> (Update, Change<Endpoint>) {
        let name = fields.kept("/name", self.name);
        let endpoint = self
            .endpoint_config
            .map(|JsonObject(body)| body.check("/endpoint_config", fields));
        let capabilities = fields.kept("/capabilities", self.capabilities);
        let version = fields.name_change("/version", self.version);
        let model_version = fields.name_change("/model_version", self.model_version);
        let changes = Changes {
            name: fields.name("/name", name),
            description: fields.text_change("/description", self.description),
            modality_code: fields.change_from_text(
                "/modality_code",
                self.modality_code,
                ModalityCode::parse,
            ),
            body_part: fields.change_from_text("/body_part", self.body_part, BodyPart::parse),
            capabilities: capabilities.map(|JsonObject(body)| body.to_capabilities()),
            vendor: fields.name_change("/vendor", self.vendor),
            model_version: match model_version {
                Change::Keep => version,
                said @ (Change::Clear | Change::Set(_)) => said,
            },
            endpoint_config: Change::Keep,
            is_active: fields.kept("/is_active", self.is_active),
        };
        (changes, endpoint)
    }
}

/// Adds an AI model to the catalog. Endpoint credentials are write-only and stored encrypted.
#[utoipa::path(post, path = "/imaging-ai/models", request_body = NewAiModel,
    responses((status = 201, body = AiModelDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let (model, endpoint) = call.body::<NewAiModel>()?.parse()?;
    let endpoint_config = match endpoint {
        Some(endpoint) => {
            let patch = endpoint::store_secret(&app, call.tenant, endpoint).await?;
            let whole = patch.laid_over(None).map_err(DomainError::from);
            Some(whole.map_err(CommandError::from)?)
        }
        None => None,
    };
    let model = AiModel {
        endpoint_config,
        ..model
    };
    call.create(&app, COLLECTION, model).await
}

/// Lists AI models, newest first.
#[utoipa::path(get, path = "/imaging-ai/models",
    params(("modality_code" = Option<values::ModalityCode>, Query), ("body_part" = Option<values::Name>, Query),
        ("is_active" = Option<bool>, Query), crate::openapi::PageParameters),
    responses((status = 200, body = [AiModelDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let filters = ai_models::Filters {
        modality_code: query.take_parsed("modality_code", ModalityCode::parse)?,
        body_part: query.take_parsed("body_part", BodyPart::parse)?,
        is_active: query.take_bool("is_active")?,
    };
    query.finish()?;
    read.list(
        &app,
        ai_models::page(read.tenant, &filters, page.after, page.limit),
    )
    .await
}

/// Returns an AI model.
#[utoipa::path(get, path = "/imaging-ai/models/{id}",
    params(("id" = Uuid, Path), crate::openapi::AsOfParameter),
    responses((status = 200, body = AiModelDocument)))]
pub(crate) async fn one(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    read.get::<AiModel>(&app, &ai_models::MODEL, id.into())
        .await
}

/// Updates an AI model.
#[utoipa::path(patch, path = "/imaging-ai/models/{id}",
    params(("id" = Uuid, Path)), request_body = AiModelChanges,
    responses((status = 200, body = AiModelDocument)))]
pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let (changes, endpoint) = call.body::<AiModelChanges>()?.parse()?;
    let endpoint_config = match endpoint {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(endpoint) => {
            Change::Set(endpoint::store_secret(&app, call.tenant, endpoint).await?)
        }
    };
    let update = Update {
        endpoint_config,
        ..changes
    };
    call.update::<AiModel>(&app, id.into(), update).await
}
