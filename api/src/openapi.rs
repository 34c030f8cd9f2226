//! `/openapi.json`, a page that renders it, and the pages of the problems.

mod documents;
mod parameters;
mod schemas;

use std::sync::OnceLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use utoipa::OpenApi as _;
use utoipa::openapi::path::{PathItem, PathsBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi};

pub(crate) use documents::{
    AddendumDocument, AiModelDocument, AiOutputDocument, AiTaskDocument, CommunicationDocument,
    CriticalResultDocument, EventEnvelope, InstanceDocument, ModalityDocument, OrderDocument,
    PacsEndpointDocument, ProcedureDocument, RadiologyReportDocument, ReadingProfileDocument,
    ReportTemplateDocument, SeriesDocument, StudyDocument, SuggestionReviewDocument, TimelineEntry,
    WorklistItemDocument,
};
pub(crate) use parameters::{AsOfParameter, PageParameters};

use schemas::Schemas;

use crate::access::Access;
use crate::call::json;
use crate::problem::{Code, Problem};
use crate::routes::{Endpoint, endpoints};

/// The whole description, from the routes themselves.
pub fn describe() -> OpenApi {
    let mut api = Schemas::openapi();
    api.info = InfoBuilder::new()
        .title("Roentgen")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The system of record for diagnostic imaging work."))
        .build();
    let mut paths = PathsBuilder::new();
    for Endpoint {
        method,
        path,
        access,
        mut operation,
        ..
    } in endpoints(false)
    {
        operation.tags = Some(vec![chapter(&path).to_owned()]);
        if access != Access::Open {
            let bearer = utoipa::openapi::SecurityRequirement::new("bearer", [""; 0]);
            operation.security = Some(vec![bearer]);
        }
        paths = paths.path(path, PathItem::new(method, operation));
    }
    api.paths = paths.build();
    if let Some(components) = api.components.as_mut() {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
    api
}

/// The chapter of the description that a path belongs to.
fn chapter(path: &str) -> &'static str {
    if path.starts_with("/imaging-ai/") {
        "Imaging AI"
    } else if path.starts_with("/imaging/") {
        "Imaging orders"
    } else if path.starts_with("/pacs/") {
        "PACS connector"
    } else if path.starts_with("/radiology/worklist") || path.starts_with("/radiology/reading") {
        "Radiology worklist"
    } else if path.starts_with("/patients/") {
        "Patients"
    } else if path.starts_with("/radiology/reports")
        || path.starts_with("/radiology/templates")
        || path.starts_with("/radiology/critical-results")
    {
        "Radiology reporting"
    } else if path.starts_with("/events") {
        "Log"
    } else {
        "Operations"
    }
}

/// The description as JSON.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200)))]
pub(crate) async fn document() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let text = DOCUMENT.get_or_init(|| describe().to_json().unwrap_or_default().into());
    json(StatusCode::OK, text.clone())
}

/// The description as a page.
#[utoipa::path(get, path = "/docs",
    responses((status = 200, content_type = "text/html")))]
pub(crate) async fn page() -> Html<&'static str> {
    Html(include_str!("openapi/page.html"))
}

/// What a problem's `type` points at, as Markdown.
#[utoipa::path(get, path = "/problems/{code}", params(("code" = String, Path)),
    responses((status = 200, content_type = "text/markdown"), (status = 404)))]
pub(crate) async fn problem_page(
    code: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(code) = code.map_err(|_| Problem::not_found())?;
    let known = Code::ALL.iter().find(|it| it.as_str() == code);
    let page = known.ok_or_else(Problem::not_found)?.page();
    Ok((
        [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")],
        page,
    )
        .into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_description_is_in_memory_once() {
        let first = axum::body::to_bytes(document().await.into_body(), usize::MAX);
        let second = axum::body::to_bytes(document().await.into_body(), usize::MAX);
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        assert!(first.len() > 10_000, "{} bytes", first.len());
        assert_eq!(first.as_ptr(), second.as_ptr());
    }
}
