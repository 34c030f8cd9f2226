//! `/openapi.json`, a page that renders it, and the pages of the problems.

mod documents;
mod parameters;
mod schemas;

use std::sync::OnceLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{StatusCode, header};
use roentgen_store::chain::sha256;
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
pub(crate) async fn page() -> impl IntoResponse {
    const PAGE: &str = include_str!("openapi/page.html");
    static POLICY: OnceLock<String> = OnceLock::new();
    let policy = POLICY.get_or_init(|| policy_of(PAGE)).as_str();
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE))
}

/// What a page may run and show (CSP Level 3): its own script and style, known by their digests, and what it fetches from
/// this server.
fn policy_of(page: &str) -> String {
    let script = source_of(between(page, "<script>", "</script>"));
    let style = source_of(between(page, "<style>", "</style>"));
    format!(
        "default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn between<'a>(page: &'a str, open: &str, close: &str) -> &'a str {
    let rest = page.split_once(open).map_or("", |(_, rest)| rest);
    rest.split_once(close).map_or("", |(inline, _)| inline)
}

/// The source expression that lets exactly this inline text run.
pub fn source_of(inline: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(sha256(inline.as_bytes())))
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
