//! Handlers of `/imaging/procedures`.

use axum::extract::State;
use axum::response::Response;
use roentgen_commands::procedure::CreateProcedure;
use roentgen_domain::Change;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ProcedureCode;
use roentgen_domain::procedure::{Changes, DurationMinutes, Procedure};
use roentgen_projections::procedures;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::command_request::{CommandRequest, SuccessKind, TenantScopedBody};
use crate::openapi::{ProcedureDocument, values};
use crate::problem::Problem;
use crate::read_request::{PathId, ReadRequest};
use crate::validation::{self, BodyValidator};

const COLLECTION: &str = "/imaging/procedures";

/// A new procedure.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProcedure {
    /// 1 to 64 characters from A-Z, 0-9, _, - and .; unique per tenant.
    #[schema(required, value_type = values::CatalogCode, example = "CT_BRAIN_WO_CONTRAST")]
    code: Option<String>,
    /// Display name.
    #[schema(required, value_type = values::Name, example = "CT brain without contrast")]
    name: Option<String>,
    /// Modality; must exist.
    #[schema(required, value_type = Uuid)]
    modality_id: Option<Uuid>,
    /// Free-text description.
    #[schema(value_type = Option<values::Note>)]
    description: Option<String>,
    /// DICOM Body Part Examined, or a local term.
    #[schema(value_type = Option<values::Label>)]
    body_part: Option<String>,
    /// SNOMED CT concept id.
    #[schema(value_type = Option<values::Label>)]
    snomed_code: Option<String>,
    /// LOINC code.
    #[schema(value_type = Option<values::Label>)]
    loinc_code: Option<String>,
    /// Planned duration in minutes, 1 to 1440.
    #[serde(default, deserialize_with = "validation::optional_integer")]
    #[schema(value_type = Option<values::DurationMinutes>)]
    default_duration_minutes: Option<i64>,
    /// Patient preparation instructions.
    #[schema(value_type = Option<values::Note>)]
    preparation_instructions: Option<String>,
    /// Whether the procedure can be ordered; default true.
    is_active: Option<bool>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Changes to a procedure. Omitted members are kept; `null` removes an optional member. The code and the modality never
/// change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProcedureChanges {
    /// Display name.
    #[serde(default)]
    #[schema(value_type = values::Name, required = false)]
    name: Change<String>,
    /// Free-text description.
    #[serde(default)]
    #[schema(value_type = Option<values::Note>)]
    description: Change<String>,
    /// DICOM Body Part Examined, or a local term.
    #[serde(default)]
    #[schema(value_type = Option<values::Label>)]
    body_part: Change<String>,
    /// SNOMED CT concept id.
    #[serde(default)]
    #[schema(value_type = Option<values::Label>)]
    snomed_code: Change<String>,
    /// LOINC code.
    #[serde(default)]
    #[schema(value_type = Option<values::Label>)]
    loinc_code: Change<String>,
    /// Planned duration in minutes, 1 to 1440.
    #[serde(default, deserialize_with = "validation::integer_change")]
    #[schema(value_type = Option<values::DurationMinutes>)]
    default_duration_minutes: Change<i64>,
    /// Patient preparation instructions.
    #[serde(default)]
    #[schema(value_type = Option<values::Note>)]
    preparation_instructions: Change<String>,
    /// Whether the entry is active.
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    is_active: Change<bool>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

impl TenantScopedBody for NewProcedure {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for ProcedureChanges {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl NewProcedure {
    fn parse(self) -> Result<CreateProcedure, Problem> {
        let mut fields = BodyValidator::default();
        let code = fields.required("/code", self.code);
        let code = fields.parse("/code", code, |text| ProcedureCode::parse(&text));
        let modality_id = fields.required("/modality_id", self.modality_id);
        fields.required("/name", self.name.as_ref());
        let changes = ProcedureChanges {
            name: self.name.into(),
            description: self.description.into(),
            body_part: self.body_part.into(),
            snomed_code: self.snomed_code.into(),
            loinc_code: self.loinc_code.into(),
            default_duration_minutes: self.default_duration_minutes.into(),
            preparation_instructions: self.preparation_instructions.into(),
            is_active: self.is_active.into(),
            tenant_id: None,
        };
        let mut details = changes.check(&mut fields);
        let whole = code.zip(details.name.take()).zip(modality_id);
        let whole = whole.map(|((code, name), modality_id)| CreateProcedure {
            code,
            name,
            modality_id: modality_id.into(),
            details,
        });
        fields.finish(whole)
    }
}

impl ProcedureChanges {
    fn parse(self) -> Result<Changes, Problem> {
        let mut fields = BodyValidator::default();
        let changes = self.check(&mut fields);
        fields.finish(Some(changes))
    }

    fn check(self, fields: &mut BodyValidator) -> Changes {
        let name = fields.kept("/name", self.name);
        let name = fields.name("/name", name);
        Changes {
            name,
            description: fields.text_change("/description", self.description),
            body_part: fields.change_from_text("/body_part", self.body_part, BodyPart::parse),
            snomed_code: fields.name_change("/snomed_code", self.snomed_code),
            loinc_code: fields.name_change("/loinc_code", self.loinc_code),
            default_duration_minutes: fields.change(
                "/default_duration_minutes",
                self.default_duration_minutes,
                DurationMinutes::parse,
            ),
            preparation_instructions: fields
                .text_change("/preparation_instructions", self.preparation_instructions),
            is_active: fields.kept("/is_active", self.is_active),
        }
    }
}

/// Adds a procedure to the catalog.
#[utoipa::path(post, path = "/imaging/procedures", request_body = NewProcedure,
    responses((status = 201, body = ProcedureDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let procedure = call.body::<NewProcedure>()?.parse()?;
    call.run(&app, &procedure, SuccessKind::Created(COLLECTION))
        .await
}

/// Lists procedures, newest first. `search` matches the code and the name; it has at most 128 characters.
#[utoipa::path(get, path = "/imaging/procedures",
    params(("modality_id" = Option<Uuid>, Query), ("body_part" = Option<values::Name>, Query),
        ("search" = Option<values::Search>, Query), ("is_active" = Option<bool>, Query),
        crate::openapi::PageParameters),
    responses((status = 200, body = [ProcedureDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let filters = procedures::Filters {
        modality_id: query.take_uuid("modality_id")?,
        body_part: query.take_parsed("body_part", BodyPart::parse)?,
        search: query.take_search("search")?,
        is_active: query.take_bool("is_active")?,
    };
    query.finish()?;
    read.list(
        &app,
        procedures::page(read.tenant, &filters, page.after, page.limit),
    )
    .await
}

/// Returns a procedure.
#[utoipa::path(get, path = "/imaging/procedures/{id}",
    params(("id" = Uuid, Path), crate::openapi::AsOfParameter),
    responses((status = 200, body = ProcedureDocument)))]
pub(crate) async fn one(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    read.get::<Procedure>(&app, &procedures::MODEL, id.into())
        .await
}

/// Updates a procedure.
#[utoipa::path(patch, path = "/imaging/procedures/{id}",
    params(("id" = Uuid, Path)), request_body = ProcedureChanges,
    responses((status = 200, body = ProcedureDocument)))]
pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let changes = call.body::<ProcedureChanges>()?.parse()?;
    call.update::<Procedure>(&app, id.into(), changes).await
}
