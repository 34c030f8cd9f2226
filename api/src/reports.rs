//! Handlers of `/radiology/reports`.

mod ai_summary;
pub(crate) mod critical_results;
mod request_bodies;
mod subresources;
mod view;

use axum::extract::State;
use axum::response::Response;
use roentgen_commands::report::{CancelReport, EditReport, SignReport};
use roentgen_commands::{CommandOutcome, UseCase};
use roentgen_domain::Versioned;
use roentgen_domain::report::{Cancel, Report, Status};
use roentgen_projections::reports;
use roentgen_store::read_model::Row;

pub(crate) use request_bodies::{CancellationBody, NewReport, ReportChanges, SignatureBody};
pub(crate) use subresources::{
    __path_add_addendum, __path_addenda, __path_communicate, __path_review_suggestion,
    add_addendum, addenda, communicate, review_suggestion,
};
pub(crate) use view::Audience;

use crate::app::App;
use crate::command_request::{CommandRequest, created_response, ok_response};
use crate::openapi::{RadiologyReportDocument, values};
use crate::problem::Problem;
use crate::read_request::{PathId, ReadRequest, answer};
use crate::worklist::authority;

pub(crate) const COLLECTION: &str = "/radiology/reports";

/// Renders the report for its writers, who see all content.
fn full_report(resource: &Versioned<Report>) -> String {
    view::document(resource, Audience::DraftReaders).unwrap_or_default()
}

/// Executes a command and returns the report.
async fn run<U: UseCase<Aggregate = Report>>(
    app: &App,
    call: &CommandRequest,
    use_case: &U,
) -> Result<Response, Problem> {
    let outcome: CommandOutcome<Report> = call.execute(app, use_case).await?;
    Ok(ok_response(&outcome, full_report(&outcome.resource)))
}

/// Creates a draft report for a study. The caller must hold the case; a pending case is claimed by this request.
#[utoipa::path(post, path = "/radiology/reports", request_body = NewReport,
    responses((status = 201, body = RadiologyReportDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let radiologist = call.caller.practitioner()?;
    let parse = move |body: NewReport| body.parse(radiologist);
    let mut report = call.body_as(parse).await?;
    let study = report.imaging_study_id;
    report.written.ai_assist_summary = ai_summary::summary(&app, call.tenant, study).await?;
    let outcome = call.execute(&app, &report).await?;
    let body = full_report(&outcome.resource);
    let id = outcome.resource.id.as_uuid();
    Ok(created_response(COLLECTION, id, &outcome, body))
}

/// Lists reports, newest first. Callers without draft access see only released reports.
#[utoipa::path(get, path = "/radiology/reports",
    params(("patient_id" = Option<Uuid>, Query), ("radiologist_id" = Option<Uuid>, Query),
        ("imaging_study_id" = Option<Uuid>, Query), ("status" = Option<values::ReportStatus>, Query),
        ("critical_result" = Option<bool>, Query), ("from_date" = Option<values::TimeOrDate>, Query),
        ("to_date" = Option<values::TimeOrDate>, Query), crate::openapi::PageParameters),
    responses((status = 200, body = [RadiologyReportDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let audience = Audience::for_caller(&read.caller);
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let filters = reports::Filters {
        released_only: audience == Audience::ReleasedReaders,
        patient_id: query.take_uuid("patient_id")?,
        radiologist_id: query.take_uuid("radiologist_id")?,
        imaging_study_id: query.take_uuid("imaging_study_id")?,
        status: query.take_enum("status", Status::parse, Status::NAMES)?,
        critical_result: query.take_bool("critical_result")?,
        from: query.take_from("from_date")?,
        to: query.take_to("to_date")?,
    };
    query.finish()?;
    let page = reports::page(read.tenant, &filters, page.after, page.limit);
    let keyring = &app.store.keyring;
    let render = async |row: Row| {
        let (resource, phi) = view::opened(&row, keyring).await?;
        view::document_with(&resource, phi, audience).ok_or_else(Problem::not_found)
    };
    read.list_as(&app, page, render).await
}

/// Returns a report. `signature.valid` states whether the released content still matches its signature.
#[utoipa::path(get, path = "/radiology/reports/{id}",
    params(("id" = Uuid, Path), crate::openapi::AsOfParameter),
    responses((status = 200, body = RadiologyReportDocument)))]
pub(crate) async fn one(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let as_of = query.take_as_of()?;
    query.finish()?;
    let folded = read.state::<Report>(&app, id.into(), as_of).await?;
    let resource = &folded.resource;
    let phi = view::folded_phi(&folded);
    let document = view::document_with(resource, phi, Audience::for_caller(&read.caller));
    let document = document.ok_or_else(Problem::not_found)?;
    Ok(answer(document, resource.version, folded.position))
}

/// Updates a draft or preliminary report.
#[utoipa::path(patch, path = "/radiology/reports/{id}",
    params(("id" = Uuid, Path)), request_body = ReportChanges,
    responses((status = 200, body = RadiologyReportDocument)))]
pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let radiologist = call.caller.practitioner()?;
    let parse = move |body: ReportChanges| body.parse(radiologist);
    let edit = call.body_as(parse).await?;
    let id = id.into();
    run(&app, &call, &EditReport { id, edit }).await
}

/// Signs a report. Signed content is released and immutable.
#[utoipa::path(post, path = "/radiology/reports/{id}/sign",
    params(("id" = Uuid, Path)), request_body = SignatureBody,
    responses((status = 200, body = RadiologyReportDocument)))]
pub(crate) async fn sign(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let radiologist_id = call.caller.practitioner()?;
    let signing = call.body_or_default::<SignatureBody>()?;
    let (is_final, communication) = signing.parse(radiologist_id)?;
    let sign = SignReport {
        id: id.into(),
        radiologist_id,
        is_final,
        communication,
        critical_deadline: app.times.critical_deadline,
    };
    let signed = run(&app, &call, &sign).await;
    signed.map_err(|error| error.prefix_pointers("/communication", &["/communicated_at"]))
}

/// Cancels a report that is not final. If another radiologist holds the case of a draft, only an admin may cancel it.
#[utoipa::path(post, path = "/radiology/reports/{id}/cancel",
    params(("id" = Uuid, Path)), request_body = CancellationBody,
    responses((status = 200, body = RadiologyReportDocument)))]
pub(crate) async fn cancel(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let radiologist_id = call.caller.practitioner()?;
    let reason = call.body::<CancellationBody>()?.parse()?;
    let cancel = Cancel {
        radiologist_id,
        reason,
    };
    let cancel = CancelReport {
        id: id.into(),
        cancel,
        authority: authority(&call.caller)?,
    };
    run(&app, &call, &cancel).await
}
