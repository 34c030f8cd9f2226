//! Handlers of `/radiology/worklist/items`.

mod request_bodies;

use axum::extract::State;
use axum::response::Response;
use roentgen_commands::worklist::{ClaimItem, ReleaseItem, UpdateItem};
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::ids::PractitionerId;
use roentgen_domain::order::Priority;
use roentgen_domain::worklist_item::{Authority, RequestedStatus, Status, Update, WorklistItem};
use roentgen_projections::worklist_items::{self, Filters};

use crate::app::App;
use crate::authorization::{Permission, Role};
use crate::command_request::{CommandRequest, SuccessKind};
use crate::identity::Caller;
use crate::openapi::{WorklistItemDocument, values};
use crate::problem::{Problem, ProblemCode};
use crate::query_params::StrictQuery;
use crate::read_request::{PathId, ReadRequest};

pub(crate) use request_bodies::{ActingRadiologist, NewWorklistItem, WorklistItemChanges};

const COLLECTION: &str = "/radiology/worklist/items";

/// Adds a study to the worklist. A cancelled item is recreated with the same id.
#[utoipa::path(post, path = "/radiology/worklist/items", request_body = NewWorklistItem,
    responses((status = 201, body = WorklistItemDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let item = call.body::<NewWorklistItem>()?.parse()?;
    call.run(&app, &item, SuccessKind::Created(COLLECTION))
        .await
}

/// Lists worklist items in reading order: by priority, then items with an AI triage score of at least 0.5, highest
/// first, then the rest, oldest first. Defaults to open items; use `status=all` for all.
#[utoipa::path(get, path = "/radiology/worklist/items",
    params(("modality" = Option<values::ModalityCode>, Query), ("body_part" = Option<values::Name>, Query),
        ("status" = Option<values::ItemStatusFilter>, Query), ("priority" = Option<values::Priority>, Query),
        ("imaging_study_id" = Option<Uuid>, Query), ("assigned_to_me" = Option<bool>, Query),
        ("current_radiologist_id" = Option<Uuid>, Query), crate::openapi::PageParameters),
    responses((status = 200, body = [WorklistItemDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let filters = Filters {
        statuses: statuses(&mut query)?,
        modality: query.take_parsed("modality", ModalityCode::parse)?,
        body_part: query.take_parsed("body_part", BodyPart::parse)?,
        priority: query.take_enum("priority", Priority::parse, Priority::NAMES)?,
        imaging_study_id: query.take_uuid("imaging_study_id")?,
        radiologist_id: assigned_to(&mut query, &read.caller)?,
    };
    query.finish()?;
    let page = worklist_items::page(read.tenant, &filters, page.after, page.limit);
    read.list(&app, page).await
}

fn statuses(query: &mut StrictQuery) -> Result<Vec<Status>, Problem> {
    let asked = query.take_parsed("status", |text| {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Status::ALL.to_vec());
        }
        let status = Status::parse(text).map(|status| vec![status]);
        status.ok_or_else(|| format!("must be all or one of {}", Status::NAMES))
    })?;
    Ok(asked.unwrap_or_default())
}

/// Returns the radiologist whose cases are requested. `current_radiologist_id` must be the caller's practitioner id.
fn assigned_to(
    query: &mut StrictQuery,
    caller: &Caller,
) -> Result<Option<PractitionerId>, Problem> {
    let mine = query.take_bool("assigned_to_me")?;
    let named: Option<PractitionerId> = query.take_uuid("current_radiologist_id")?;
    if named.is_some() && named != caller.practitioner_id {
        return Err(Problem::new(
            ProblemCode::Forbidden,
            "current_radiologist_id must be the caller's practitioner_id",
        ));
    }
    if mine.unwrap_or(named.is_some()) {
        caller.practitioner().map(Some)
    } else {
        Ok(None)
    }
}

/// Returns a worklist item.
#[utoipa::path(get, path = "/radiology/worklist/items/{id}",
    params(("id" = Uuid, Path), crate::openapi::AsOfParameter),
    responses((status = 200, body = WorklistItemDocument)))]
pub(crate) async fn one(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    read.get::<WorklistItem>(&app, &worklist_items::MODEL, id.into())
        .await
}

/// Claims a pending item for the caller, subject to the caller's reading profile and case limit.
#[utoipa::path(post, path = "/radiology/worklist/items/{id}/claim",
    params(("id" = Uuid, Path)), request_body = Option<ActingRadiologist>,
    responses((status = 200, body = WorklistItemDocument)))]
pub(crate) async fn claim(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let radiologist_id = call.caller.practitioner()?;
    call.body_or_default::<ActingRadiologist>()?
        .require(Some(radiologist_id))?;
    let claim = ClaimItem {
        id: id.into(),
        radiologist_id,
    };
    call.run(&app, &claim, SuccessKind::Updated).await
}

/// Releases a worklist item of the caller; an admin may release any item.
#[utoipa::path(post, path = "/radiology/worklist/items/{id}/release",
    params(("id" = Uuid, Path)), request_body = Option<ActingRadiologist>,
    responses((status = 200, body = WorklistItemDocument)))]
pub(crate) async fn release(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let authority = authority(&call.caller)?;
    let oneself = call.body_or_default::<ActingRadiologist>()?;
    oneself.require(call.caller.practitioner_id)?;
    let release = ReleaseItem {
        id: id.into(),
        authority,
    };
    call.run(&app, &release, SuccessKind::Updated).await
}

/// Updates a worklist item. Only the holder or an admin may set `in_progress` or `completed`; other changes require the
/// permission to manage the worklist or to contribute triage.
#[utoipa::path(patch, path = "/radiology/worklist/items/{id}",
    params(("id" = Uuid, Path)), request_body = WorklistItemChanges,
    responses((status = 200, body = WorklistItemDocument)))]
pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let mut update = call
        .body::<WorklistItemChanges>()?
        .parse(&call.caller.sub)?;
    for capability in required_permissions(&update) {
        call.caller.require(capability)?;
    }
    if requires_holder(&update) {
        update.authority = authority(&call.caller)?;
    }
    let update = UpdateItem {
        id: id.into(),
        update,
    };
    call.run(&app, &update, SuccessKind::Updated).await
}

/// Returns the caller's authority: over all cases for an admin, otherwise over the caller's own cases.
pub(crate) fn authority(caller: &Caller) -> Result<Authority, Problem> {
    if caller.roles.contains(&Role::Admin) {
        Ok(Authority::Any)
    } else {
        caller.practitioner().map(Authority::Own)
    }
}

/// Returns whether the update requires the holder.
fn requires_holder(update: &Update) -> bool {
    matches!(
        update.status,
        Some(RequestedStatus::InProgress | RequestedStatus::Completed)
    )
}

fn required_permissions(update: &Update) -> Vec<Permission> {
    let run = matches!(
        update.status,
        Some(RequestedStatus::Pending | RequestedStatus::Cancelled)
    ) || update.priority.is_some()
        || !update.assign.is_keep();
    let triage = !update.ai_triage_score.is_keep() || !update.ai_triage_flags.is_keep();
    let asked = [
        (requires_holder(update), Permission::WorkOnCases),
        (run, Permission::ManageWorklist),
        (triage, Permission::ContributeTriage),
    ];
    let needed = asked.into_iter().filter(|pair| pair.0);
    needed.map(|pair| pair.1).collect()
}
