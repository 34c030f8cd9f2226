//! Handlers for the parts of a report: addenda, communications, reviews of AI suggestions.

use axum::extract::{Path, State};
use axum::response::Response;
use http::{StatusCode, header};
use roentgen_commands::CommandOutcome;
use roentgen_commands::report::{AddAddendum, RecordCommunication, ReviewSuggestion};
use roentgen_domain::ids::{AiOutputId, ReportId};
use roentgen_domain::report::{NewReview, Report};
use roentgen_store::loader::AsOf;
use serde::Serialize;

use super::request_bodies::{NewAddendumBody, NewCommunicationBody, SuggestionReview};
use super::{Audience, COLLECTION, view};
use crate::app::App;
use crate::command_request::{CommandRequest, LOG_POSITION, insert_header, json, ok_response};
use crate::openapi::{AddendumDocument, CommunicationDocument, SuggestionReviewDocument};
use crate::pagination::next_link;
use crate::problem::Problem;
use crate::read_request::{PathId, ReadRequest};

fn text(document: &impl Serialize) -> String {
    serde_json::to_string(document).unwrap_or_default()
}

/// Returns 201 with a part of a report, and the location at which it can be read.
fn created(outcome: &CommandOutcome<Report>, place: &str, part: &impl Serialize) -> Response {
    let mut response = ok_response(outcome, text(part));
    *response.status_mut() = StatusCode::CREATED;
    insert_header(response.headers_mut(), header::LOCATION.as_str(), place);
    response
}

/// Adds an addendum to a final report. Signed content is not modified.
#[utoipa::path(post, path = "/radiology/reports/{id}/addenda",
    params(("id" = Uuid, Path)), request_body = NewAddendumBody,
    responses((status = 201, body = AddendumDocument)))]
pub(crate) async fn add_addendum(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let radiologist_id = call.caller.practitioner()?;
    let body = call.body::<NewAddendumBody>()?;
    let critical_result = body.critical_result;
    let id = ReportId::from(id);
    let (kind, content) = body.parse(id, radiologist_id)?;
    let add = AddAddendum {
        id,
        radiologist_id,
        kind,
        content,
        critical_result,
        critical_deadline: app.times.critical_deadline,
    };
    let outcome = call.execute(&app, &add).await?;
    let report = &outcome.resource.state;
    let last = report.addenda().last().ok_or_else(Problem::not_found)?;
    let place = format!("{COLLECTION}/{id}/addenda");
    let part = view::addendum(report, view::phi(report), last);
    Ok(created(&outcome, &place, &part))
}

/// Lists the addenda of a report, newest first.
#[utoipa::path(get, path = "/radiology/reports/{id}/addenda",
    params(("id" = Uuid, Path), crate::openapi::PageParameters),
    responses((status = 200, body = [AddendumDocument])))]
pub(crate) async fn addenda(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let list = format!("{COLLECTION}/{id}/addenda");
    let page = read.take_page(&mut query, &list)?;
    query.finish()?;
    let folded = read.state::<Report>(&app, id.into(), AsOf::Now).await?;
    let report = &folded.resource.state;
    if !Audience::for_caller(&read.caller).sees(report) {
        return Err(Problem::not_found());
    }
    let after = page.after.and_then(|bytes| bytes.try_into().ok());
    let before = after.map_or(u64::MAX, u64::from_be_bytes);
    let limit = page.limit as usize;
    let newest_first = report.addenda().iter().rev();
    let mut rest = newest_first.filter(|addendum| addendum.version < before);
    let shown: Vec<_> = rest.by_ref().take(limit).collect();
    let phi = view::folded_phi(&folded);
    let documents = shown.iter().map(|value| view::addendum(report, phi, value));
    let documents: Vec<_> = documents.collect();
    let mut response = json(StatusCode::OK, text(&documents));
    let headers = response.headers_mut();
    insert_header(headers, LOG_POSITION, &folded.position.to_string());
    if let (Some(last), Some(_)) = (shown.last(), rest.next()) {
        let cursor = read.cursor(&last.version.to_be_bytes(), &list);
        let link = next_link(read.path(), read.raw_query(), &cursor);
        insert_header(headers, header::LINK.as_str(), &link);
    }
    Ok(response)
}

/// Records the communication of a critical result.
#[utoipa::path(post, path = "/radiology/reports/{id}/communications",
    params(("id" = Uuid, Path)), request_body = NewCommunicationBody,
    responses((status = 201, body = CommunicationDocument)))]
pub(crate) async fn communicate(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let radiologist = call.caller.practitioner()?;
    let communication = call.body::<NewCommunicationBody>()?.parse(radiologist)?;
    let communicate = RecordCommunication {
        id: id.into(),
        communication,
    };
    let outcome = call.execute(&app, &communicate).await?;
    let report = &outcome.resource.state;
    let noted = report.find_communication(&communicate.communication);
    let noted = noted.ok_or_else(Problem::not_found)?;
    let place = format!("{COLLECTION}/{id}");
    let part = view::communication(report, view::phi(report), noted);
    Ok(created(&outcome, &place, &part))
}

/// Report id and output id in a path.
type InReport = Result<Path<(String, String)>, axum::extract::rejection::PathRejection>;

/// Records a radiologist's review of an AI suggestion.
#[utoipa::path(post, path = "/radiology/reports/{id}/ai-suggestions/{output_id}",
    params(("id" = Uuid, Path), ("output_id" = Uuid, Path)), request_body = SuggestionReview,
    responses((status = 200, body = SuggestionReviewDocument)))]
pub(crate) async fn review_suggestion(
    State(app): State<App>,
    path: InReport,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let Path((id, output)) =
        path.map_err(|_| Problem::parameter("id", "must be one path segment"))?;
    let id = crate::query_params::parse_uuid("id", &id)?;
    let output = AiOutputId::from(crate::query_params::parse_uuid("output_id", &output)?);
    let radiologist_id = call.caller.practitioner()?;
    let (decision, note) = call.body::<SuggestionReview>()?.parse()?;
    let output_of = super::ai_summary::study_of(&app, call.tenant, output).await?;
    let review = ReviewSuggestion {
        id: id.into(),
        output_of,
        review: NewReview {
            radiologist_id,
            output_id: output,
            decision,
            note,
        },
    };
    let outcome = call.execute(&app, &review).await?;
    let report = &outcome.resource.state;
    let mut judged = report.ai_suggestions.iter();
    let judged = judged.find(|review| review.output_id == output);
    let judged = judged.ok_or_else(Problem::not_found)?;
    Ok(ok_response(&outcome, text(&view::review(report, judged))))
}
