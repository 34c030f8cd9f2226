//! Handlers of `/radiology/templates`.

use axum::extract::State;
use axum::response::Response;
use roentgen_commands::report_template::{CreateTemplate, UpdateTemplate};
use roentgen_domain::Change;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::{ModalityCode, TemplateCode};
use roentgen_domain::json::Json;
use roentgen_domain::report_template::{
    DefaultText, DefaultTextPatch, ReportTemplate, Schema, SchemaPatch, TemplateType, Update,
};
use roentgen_projections::report_templates;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::command_request::{CommandRequest, SuccessKind, TenantScopedBody};
use crate::openapi::{ReportTemplateDocument, values};
use crate::problem::Problem;
use crate::read_request::{PathId, ReadRequest};
use crate::validation::{self, BodyValidator, FreeObject, is_blank};

const COLLECTION: &str = "/radiology/templates";

/// A new report template.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReportTemplate {
    /// 1 to 64 characters from A-Z, 0-9, _, - and .; unique per tenant.
    #[schema(required, value_type = values::CatalogCode, example = "CT_HEAD_STROKE")]
    code: Option<String>,
    /// Display name.
    #[schema(required, value_type = values::Name, example = "CT head, stroke")]
    name: Option<String>,
    /// Applicable modality; any if omitted.
    #[schema(value_type = Option<values::OptionalModalityCode>)]
    modality_code: Option<String>,
    /// Applicable body part; any if omitted.
    #[schema(value_type = Option<values::Label>)]
    body_part: Option<String>,
    /// Free-text description.
    #[schema(value_type = Option<values::Note>)]
    description: Option<String>,
    /// free_text, structured or hybrid.
    #[schema(required, value_type = values::TemplateType, example = "free_text")]
    template_type: Option<String>,
    /// JSON Schema (draft 2020-12), at most 64 KiB, local references only; required for structured and hybrid.
    #[schema(value_type = Option<Object>)]
    schema: Option<FreeObject>,
    /// Default findings text, or an object of default texts keyed by section.
    #[schema(value_type = Option<Value>)]
    default_text: Option<Json>,
    /// Whether the template can be used for new reports; default true.
    is_active: Option<bool>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Changes to a report template. Omitted members are kept; `null` removes an optional member. The code never changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportTemplateChanges {
    /// Display name.
    #[serde(default)]
    #[schema(value_type = values::Name, required = false)]
    name: Change<String>,
    /// Applicable modality; any if null.
    #[serde(default)]
    #[schema(value_type = Option<values::OptionalModalityCode>)]
    modality_code: Change<String>,
    /// Applicable body part; any if null.
    #[serde(default)]
    #[schema(value_type = Option<values::Label>)]
    body_part: Change<String>,
    /// Free-text description.
    #[serde(default)]
    #[schema(value_type = Option<values::Note>)]
    description: Change<String>,
    /// free_text, structured or hybrid.
    #[serde(default)]
    #[schema(value_type = values::TemplateType, required = false)]
    template_type: Change<String>,
    /// JSON Schema, as a merge patch (RFC 7396): nested objects are merged member by member.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    schema: Change<FreeObject>,
    /// Default findings text, or an object of default texts keyed by section, in which `null` removes a section.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    default_text: Change<Json>,
    /// Whether the entry is active.
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    is_active: Change<bool>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

impl TenantScopedBody for NewReportTemplate {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for ReportTemplateChanges {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl NewReportTemplate {
    fn parse(self) -> Result<CreateTemplate, Problem> {
        let mut fields = BodyValidator::default();
        let code = fields.required("/code", self.code);
        let code = fields.parse("/code", code, |text| TemplateCode::parse(&text));
        fields.required("/name", self.name.as_ref());
        fields.required("/template_type", self.template_type.as_ref());
        let changes = ReportTemplateChanges {
            name: self.name.into(),
            modality_code: self.modality_code.into(),
            body_part: self.body_part.into(),
            description: self.description.into(),
            template_type: self.template_type.into(),
            schema: Change::Keep,
            default_text: Change::Keep,
            is_active: self.is_active.into(),
            tenant_id: None,
        };
        let told = changes.check(&mut fields);
        let schema = fields.parse("/schema", self.schema, |object| {
            Schema::parse(object.json())
        });
        let words = self.default_text.filter(|json| !is_blank_text(json));
        let default_text = fields.parse("/default_text", words, |json| DefaultText::parse(&json));
        let whole = code.zip(told.name).zip(told.template_type);
        fields.finish(whole.map(|((code, name), template_type)| {
            CreateTemplate(ReportTemplate {
                code,
                name,
                modality_code: told.modality_code.value(),
                body_part: told.body_part.value(),
                description: told.description.value(),
                template_type,
                schema,
                default_text,
                is_active: told.is_active.unwrap_or(true),
            })
        }))
    }
}

impl ReportTemplateChanges {
    fn parse(self) -> Result<Update, Problem> {
        let mut fields = BodyValidator::default();
        let changes = self.check(&mut fields);
        fields.finish(Some(changes))
    }

    fn check(self, fields: &mut BodyValidator) -> Update {
        let name = fields.kept("/name", self.name);
        let template_type = fields.kept("/template_type", self.template_type);
        let default_text = match self.default_text {
            Change::Set(json) if is_blank_text(&json) => Change::Clear,
            said @ (Change::Keep | Change::Clear | Change::Set(_)) => said,
        };
        Update {
            name: fields.name("/name", name),
            modality_code: fields.change_from_text(
                "/modality_code",
                self.modality_code,
                ModalityCode::parse,
            ),
            body_part: fields.change_from_text("/body_part", self.body_part, BodyPart::parse),
            description: fields.text_change("/description", self.description),
            template_type: fields.enum_value(
                "/template_type",
                template_type,
                TemplateType::parse,
                TemplateType::NAMES,
            ),
            schema: fields.change("/schema", self.schema, |object| {
                SchemaPatch::parse(object.json())
            }),
            default_text: fields.change("/default_text", default_text, |json| {
                DefaultTextPatch::parse(&json)
            }),
            is_active: fields.kept("/is_active", self.is_active),
        }
    }
}

fn is_blank_text(json: &Json) -> bool {
    json.read().is_ok_and(|text: String| is_blank(&text))
}

/// Adds a report template to the catalog.
#[utoipa::path(post, path = "/radiology/templates", request_body = NewReportTemplate,
    responses((status = 201, body = ReportTemplateDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let template = call.body_as(NewReportTemplate::parse).await?;
    call.run(&app, &template, SuccessKind::Created(COLLECTION))
        .await
}

/// Lists report templates, newest first.
#[utoipa::path(get, path = "/radiology/templates",
    params(("modality_code" = Option<values::ModalityCode>, Query), ("body_part" = Option<values::Name>, Query),
        ("is_active" = Option<bool>, Query), crate::openapi::PageParameters),
    responses((status = 200, body = [ReportTemplateDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let filters = report_templates::Filters {
        modality_code: query.take_parsed("modality_code", ModalityCode::parse)?,
        body_part: query.take_parsed("body_part", BodyPart::parse)?,
        is_active: query.take_bool("is_active")?,
    };
    query.finish()?;
    let page = report_templates::page(read.tenant, &filters, page.after, page.limit);
    read.list(&app, page).await
}

/// Returns a report template.
#[utoipa::path(get, path = "/radiology/templates/{id}",
    params(("id" = Uuid, Path), crate::openapi::AsOfParameter),
    responses((status = 200, body = ReportTemplateDocument)))]
pub(crate) async fn one(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    read.get::<ReportTemplate>(&app, &report_templates::MODEL, id.into())
        .await
}

/// Updates a report template.
#[utoipa::path(patch, path = "/radiology/templates/{id}",
    params(("id" = Uuid, Path)), request_body = ReportTemplateChanges,
    responses((status = 200, body = ReportTemplateDocument)))]
pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let update = call.body_as(ReportTemplateChanges::parse).await?;
    let id = id.into();
    call.run(&app, &UpdateTemplate { id, update }, SuccessKind::Updated)
        .await
}
