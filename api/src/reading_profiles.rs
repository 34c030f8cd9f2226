//! Handlers of `/radiology/reading-profiles`.

use axum::extract::State;
use axum::response::Response;
use roentgen_domain::Change;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::ids::{PractitionerId, ReadingProfileId};
use roentgen_domain::reading_profile::{CaseLimit, Changes, ReadingProfile};
use roentgen_domain::text::Text;
use roentgen_projections::reading_profiles;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::authorization::Permission;
use crate::command_request::{CommandRequest, TenantScopedBody};
use crate::openapi::{ReadingProfileDocument, values};
use crate::problem::{Problem, ProblemCode};
use crate::read_request::{PathId, ReadRequest};
use crate::validation::{self, BodyValidator, List};

const COLLECTION: &str = "/radiology/reading-profiles";
/// Maximum number of modalities, body parts or locations in one request.
const MAX_NAMED: usize = 1_000;

/// A new reading profile.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReadingProfile {
    /// Practitioner; one profile each.
    #[schema(required, value_type = Uuid)]
    practitioner_id: Option<Uuid>,
    /// Modalities the radiologist may claim; all if omitted.
    #[schema(value_type = Option<Vec<values::ModalityCode>>)]
    allowed_modalities: Option<List<String, MAX_NAMED>>,
    /// Body parts the radiologist may claim (case-insensitive); all if omitted.
    #[schema(value_type = Option<Vec<values::Name>>)]
    allowed_body_parts: Option<List<String, MAX_NAMED>>,
    /// Maximum concurrent cases, 1 to 100; default 5.
    #[serde(default, deserialize_with = "validation::optional_integer")]
    #[schema(value_type = Option<values::MaxCases>)]
    max_concurrent_cases: Option<i64>,
    /// Reading locations.
    #[schema(value_type = Option<Vec<values::Name>>)]
    reading_locations: Option<List<String, MAX_NAMED>>,
    /// Whether the radiologist may claim cases; default true.
    is_active: Option<bool>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Changes to a reading profile. Omitted members are kept; `null` removes an optional member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadingProfileChanges {
    /// Allowed modalities; all if null.
    #[serde(default)]
    #[schema(value_type = Option<Vec<values::ModalityCode>>)]
    allowed_modalities: Change<List<String, MAX_NAMED>>,
    /// Allowed body parts; all if null.
    #[serde(default)]
    #[schema(value_type = Option<Vec<values::Name>>)]
    allowed_body_parts: Change<List<String, MAX_NAMED>>,
    /// Maximum concurrent cases, 1 to 100.
    #[serde(default, deserialize_with = "validation::integer_change")]
    #[schema(value_type = values::MaxCases, required = false)]
    max_concurrent_cases: Change<i64>,
    /// Reading locations.
    #[serde(default)]
    #[schema(value_type = Option<Vec<values::Name>>)]
    reading_locations: Change<List<String, MAX_NAMED>>,
    /// Whether the entry is active.
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    is_active: Change<bool>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

impl TenantScopedBody for NewReadingProfile {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for ReadingProfileChanges {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl NewReadingProfile {
    fn parse(self) -> Result<ReadingProfile, Problem> {
        let mut fields = BodyValidator::default();
        let practitioner_id = fields.required("/practitioner_id", self.practitioner_id);
        let told = ReadingProfileChanges {
            allowed_modalities: self.allowed_modalities.into(),
            allowed_body_parts: self.allowed_body_parts.into(),
            max_concurrent_cases: self.max_concurrent_cases.into(),
            reading_locations: self.reading_locations.into(),
            is_active: self.is_active.into(),
            tenant_id: None,
        };
        let told = told.check(&mut fields);
        let profile = practitioner_id.map(|id| ReadingProfile {
            practitioner_id: PractitionerId::from(id),
            allowed_modalities: told.allowed_modalities.value(),
            allowed_body_parts: told.allowed_body_parts.value(),
            max_concurrent_cases: told.max_concurrent_cases.unwrap_or_default(),
            reading_locations: told.reading_locations.value(),
            is_active: told.is_active.unwrap_or(true),
        });
        fields.finish(profile)
    }
}

impl ReadingProfileChanges {
    fn parse(self) -> Result<Changes, Problem> {
        let mut fields = BodyValidator::default();
        let changes = self.check(&mut fields);
        fields.finish(Some(changes))
    }

    fn check(self, fields: &mut BodyValidator) -> Changes {
        let limit = fields.kept("/max_concurrent_cases", self.max_concurrent_cases);
        Changes {
            allowed_modalities: fields.each_of_change(
                "/allowed_modalities",
                self.allowed_modalities,
                |code| ModalityCode::parse(&code),
            ),
            allowed_body_parts: fields.each_of_change(
                "/allowed_body_parts",
                self.allowed_body_parts,
                |body_part| BodyPart::parse(&body_part),
            ),
            max_concurrent_cases: fields.parse("/max_concurrent_cases", limit, CaseLimit::parse),
            reading_locations: fields.each_of_change(
                "/reading_locations",
                self.reading_locations,
                Text::parse_name,
            ),
            is_active: fields.kept("/is_active", self.is_active),
        }
    }
}

/// Creates a reading profile.
#[utoipa::path(post, path = "/radiology/reading-profiles", request_body = NewReadingProfile,
    responses((status = 201, body = ReadingProfileDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let profile = call.body::<NewReadingProfile>()?.parse()?;
    call.create(&app, COLLECTION, profile).await
}

/// Lists reading profiles, newest first.
#[utoipa::path(get, path = "/radiology/reading-profiles",
    params(("practitioner_id" = Option<Uuid>, Query), ("is_active" = Option<bool>, Query),
        crate::openapi::PageParameters),
    responses((status = 200, body = [ReadingProfileDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let filters = reading_profiles::Filters {
        practitioner_id: query.take_uuid("practitioner_id")?,
        is_active: query.take_bool("is_active")?,
    };
    query.finish()?;
    let page = reading_profiles::page(read.tenant, &filters, page.after, page.limit);
    read.list(&app, page).await
}

/// Returns a reading profile.
#[utoipa::path(get, path = "/radiology/reading-profiles/{id}",
    params(("id" = Uuid, Path), crate::openapi::AsOfParameter),
    responses((status = 200, body = ReadingProfileDocument)))]
pub(crate) async fn one(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    read.get::<ReadingProfile>(&app, &reading_profiles::MODEL, id.into())
        .await
}

/// Updates a reading profile. Radiologists may change only `reading_locations` of their own profile.
#[utoipa::path(put, path = "/radiology/reading-profiles/{id}",
    params(("id" = Uuid, Path)), request_body = ReadingProfileChanges,
    responses((status = 200, body = ReadingProfileDocument)))]
pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let changes = call.body::<ReadingProfileChanges>()?.parse()?;
    let id = ReadingProfileId::from(id);
    may_change(&call, id, &changes)?;
    call.update::<ReadingProfile>(&app, id, changes).await
}

/// Updates a reading profile (same as PUT).
#[utoipa::path(patch, path = "/radiology/reading-profiles/{id}",
    params(("id" = Uuid, Path)), request_body = ReadingProfileChanges,
    responses((status = 200, body = ReadingProfileDocument)))]
pub(crate) async fn patch(
    state: State<App>,
    id: PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    update(state, id, call).await
}

fn may_change(
    call: &CommandRequest,
    id: ReadingProfileId,
    changes: &Changes,
) -> Result<(), Problem> {
    if Permission::WriteCatalog.is_granted_to(&call.caller.roles) {
        return Ok(());
    }
    let practitioner = call.caller.practitioner_id;
    let own = practitioner.map(|id| ReadingProfileId::derive(call.tenant, id)) == Some(id);
    let where_only = Changes {
        reading_locations: Change::Keep,
        ..changes.clone()
    } == Changes::default();
    if own && where_only {
        Ok(())
    } else {
        Err(Problem::new(
            ProblemCode::Forbidden,
            "radiologists may change only reading_locations of their own profile",
        ))
    }
}
