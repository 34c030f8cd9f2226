//! Handlers of `/pacs/studies`.

mod request_bodies;
mod warnings;

use axum::extract::State;
use axum::response::Response;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::dicom::{AccessionNumber, Uid};
use roentgen_domain::study::{OrderLinkStatus, Status, Study};
use roentgen_projections::studies;

pub(crate) use warnings::Warning;

pub(crate) use request_bodies::{InstanceBody, SeriesBody, StudyChanges, SyncBody};

use crate::app::App;
use crate::authorization::Permission;
use crate::command_request::{CommandRequest, SuccessKind, respond};
use crate::openapi::{StudyDocument, values};
use crate::problem::Problem;
use crate::read_request::{PathId, ReadRequest};
use crate::render;

const COLLECTION: &str = "/pacs/studies";

/// Upserts a study by Study Instance UID: 201 if it is new, otherwise 200. Known series and instances are ignored. An
/// impossible clinical time is left out and listed in `warnings`.
#[utoipa::path(post, path = "/pacs/studies/sync", request_body = SyncBody,
    responses((status = 201, body = StudyDocument), (status = 200, body = StudyDocument)))]
pub(crate) async fn sync(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let (sync, times) = call.body_as(SyncBody::parse).await?;
    let outcome = call.execute(&app, &sync).await?;
    let warnings = times.warnings(&outcome.resource.state);
    let mut document = render::resource(&outcome.resource);
    if !warnings.is_empty() {
        let warnings = serde_json::to_string(&warnings).unwrap_or_default();
        document = render::append_members(&document, &format!("\"warnings\":{warnings}"));
    }
    Ok(respond(
        &outcome,
        SuccessKind::Upserted(COLLECTION),
        document,
    ))
}

/// Lists studies, newest first by `started_at`, or by time of first sync if absent.
#[utoipa::path(get, path = "/pacs/studies",
    params(("patient_id" = Option<Uuid>, Query), ("modality_code" = Option<values::ModalityCode>, Query),
        ("accession_number" = Option<values::AccessionNumber>, Query), ("study_instance_uid" = Option<values::Uid>, Query),
        ("status" = Option<values::StudyStatus>, Query), ("link" = Option<values::OrderLinkStatus>, Query),
        ("from_date" = Option<values::TimeOrDate>, Query), ("to_date" = Option<values::TimeOrDate>, Query),
        crate::openapi::PageParameters),
    responses((status = 200, body = [StudyDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let read = read.with_phi_for(Permission::ReadStudyPhi);
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let filters = studies::Filters {
        patient_id: query.take_uuid("patient_id")?,
        modality_code: query.take_parsed("modality_code", ModalityCode::parse)?,
        accession_number: query.take_parsed("accession_number", AccessionNumber::parse)?,
        study_instance_uid: query.take_parsed("study_instance_uid", Uid::parse)?,
        status: query.take_enum("status", Status::parse, Status::NAMES)?,
        link: query.take_enum("link", OrderLinkStatus::parse, OrderLinkStatus::NAMES)?,
        from: query.take_from("from_date")?,
        to: query.take_to("to_date")?,
    };
    query.finish()?;
    let page = studies::page(read.tenant, &filters, page.after, page.limit);
    read.list(&app, page).await
}

/// Returns a study without its series.
#[utoipa::path(get, path = "/pacs/studies/{id}",
    params(("id" = Uuid, Path), crate::openapi::AsOfParameter),
    responses((status = 200, body = StudyDocument)))]
pub(crate) async fn one(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    let read = read.with_phi_for(Permission::ReadStudyPhi);
    read.get::<Study>(&app, &studies::MODEL, id.into()).await
}

/// Updates a study, archives it, or links it to an order.
#[utoipa::path(patch, path = "/pacs/studies/{id}",
    params(("id" = Uuid, Path)), request_body = StudyChanges,
    responses((status = 200, body = StudyDocument)))]
pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let update = call.body::<StudyChanges>()?.parse(id.into())?;
    call.run(&app, &update, SuccessKind::Updated).await
}
