//! OpenAPI document, the page that renders it, and the pages of the problem types.

mod documents;
mod parameters;
mod problems;
pub(crate) mod values;

use std::sync::OnceLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{StatusCode, header};
use roentgen_store::chain::sha256;
use utoipa::openapi::path::{PathItem, PathsBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa::{PartialSchema as _, ToSchema as _};

use documents::ProblemSchema;
pub(crate) use documents::{
    AddendumDocument, AiModelDocument, AiOutputDocument, AiTaskDocument, CommunicationDocument,
    CriticalResultDocument, EventEnvelope, InstanceDocument, ModalityDocument, OrderDocument,
    PacsEndpointDocument, ProcedureDocument, RadiologyReportDocument, ReadingProfileDocument,
    ReportTemplateDocument, SeriesDocument, StudyDocument, SuggestionReviewDocument, TimelineEntry,
    WorklistItemDocument,
};
pub(crate) use parameters::{AsOfParameter, PageParameters};

use crate::authorization::RouteAccess;
use crate::command_request::json;
use crate::problem::{Problem, ProblemCode};
use crate::routes::endpoints;
use parameters::describe_freshness;
use problems::{describe_problems, problem_responses};

/// Returns the OpenAPI document, built from the routes.
pub fn describe() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Roentgen")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("System of record for diagnostic imaging workflows."))
        .build();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    let mut components = ComponentsBuilder::new()
        .schema(ProblemSchema::name(), ProblemSchema::schema())
        .schemas_from_iter(values::schemas())
        .responses_from_iter(problem_responses())
        .security_scheme("bearer", SecurityScheme::Http(bearer));
    let mut paths = PathsBuilder::new();
    for mut endpoint in endpoints(false) {
        let schemas = std::mem::take(&mut endpoint.schemas);
        components = components.schemas_from_iter(schemas);
        let mut operation = std::mem::take(&mut endpoint.operation);
        operation.tags = Some(vec![tag_for_path(&endpoint.path).to_owned()]);
        if endpoint.access != RouteAccess::Public {
            operation.security = Some(vec![SecurityRequirement::new("bearer", [""; 0])]);
        }
        describe_freshness(&mut operation);
        describe_problems(&endpoint, &mut operation);
        let item = PathItem::new(endpoint.http_method, operation);
        paths = paths.path(endpoint.path, item);
    }
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

/// Returns the tag of the operations on a path.
fn tag_for_path(path: &str) -> &'static str {
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

/// Returns this OpenAPI document.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200)))]
pub(crate) async fn document() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let text = DOCUMENT.get_or_init(|| describe().to_json().unwrap_or_default().into());
    json(StatusCode::OK, text.clone())
}

/// Returns the API documentation as HTML.
#[utoipa::path(get, path = "/docs",
    responses((status = 200, content_type = "text/html")))]
pub(crate) async fn page() -> impl IntoResponse {
    const PAGE: &str = include_str!("openapi/page.html");
    static POLICY: OnceLock<String> = OnceLock::new();
    let policy = POLICY.get_or_init(|| policy_of(PAGE)).as_str();
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE))
}

/// Returns the Content Security Policy (CSP Level 3) of a page. It allows the page's own script and style, by digest,
/// and requests to this server.
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

/// Returns the CSP source expression that allows exactly this inline text.
pub fn source_of(inline: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(sha256(inline.as_bytes())))
}

/// Returns the documentation of a problem type as Markdown.
#[utoipa::path(get, path = "/problems/{code}", params(("code" = String, Path)),
    responses((status = 200, content_type = "text/markdown"), (status = 404)))]
pub(crate) async fn problem_page(
    code: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(code) = code.map_err(|_| Problem::not_found())?;
    let known = ProblemCode::ALL.iter().find(|value| value.as_str() == code);
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
    use serde_json::{Value, json};

    #[tokio::test]
    async fn the_description_is_in_memory_once() {
        let first = axum::body::to_bytes(document().await.into_body(), usize::MAX);
        let second = axum::body::to_bytes(document().await.into_body(), usize::MAX);
        let first = first.await.unwrap();
        let second = second.await.unwrap();
        assert!(first.len() > 10_000, "{} bytes", first.len());
        assert_eq!(first.as_ptr(), second.as_ptr());
    }

    /// Collects what `$ref` names, at any depth.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members
                    .values()
                    .for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_reference_names_something_and_everything_is_referred_to() {
        let document = serde_json::to_value(describe()).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        for name in document["components"]["schemas"]
            .as_object()
            .unwrap()
            .keys()
        {
            let reference = format!("#/components/schemas/{name}");
            assert!(found.contains(&reference.as_str()), "{name} is not used");
        }
    }

    /// Members that `null` removes in a change. Other members cannot be removed, or are not members of the resource.
    const CLEARED: [(&str, &[&str]); 11] = [
        (
            "/imaging-ai/models/{id}",
            &[
                "body_part",
                "description",
                "endpoint_config",
                "modality_code",
                "model_version",
                "vendor",
                "version",
            ],
        ),
        ("/imaging-ai/tasks/{id}/status", &[]),
        ("/imaging/modalities/{id}", &["description"]),
        ("/imaging/orders/{id}", &["metadata", "scheduled_slot_id"]),
        (
            "/imaging/procedures/{id}",
            &[
                "body_part",
                "default_duration_minutes",
                "description",
                "loinc_code",
                "preparation_instructions",
                "snomed_code",
            ],
        ),
        (
            "/pacs/endpoints/{id}",
            &[
                "ae_title",
                "auth_config",
                "base_url",
                "description",
                "host",
                "port",
                "viewer_launch_url",
            ],
        ),
        (
            "/pacs/studies/{id}",
            &["ended_at", "imaging_order_id", "viewer_url"],
        ),
        (
            "/radiology/reading-profiles/{id}",
            &[
                "allowed_body_parts",
                "allowed_modalities",
                "reading_locations",
            ],
        ),
        (
            "/radiology/reports/{id}",
            &[
                "ai_assist_summary",
                "clinical_history",
                "findings",
                "impression",
                "structured_data",
                "technique",
            ],
        ),
        (
            "/radiology/templates/{id}",
            &[
                "body_part",
                "default_text",
                "description",
                "modality_code",
                "schema",
            ],
        ),
        (
            "/radiology/worklist/items/{id}",
            &[
                "ai_triage_flags",
                "ai_triage_score",
                "assigned_radiologist_id",
            ],
        ),
    ];

    /// Returns whether a member may be null (JSON Schema 2020-12): null is one of its types or alternatives, or the
    /// member has no type.
    fn is_nullable(member: &Value) -> bool {
        let alternatives = member["oneOf"].as_array();
        let mut types = alternatives.map_or_else(
            || vec![&member["type"]],
            |schemas| schemas.iter().map(|schema| &schema["type"]).collect(),
        );
        let names_a_schema = member.get("$ref").is_some() || member.get("allOf").is_some();
        types.retain(|kind| !kind.is_null() || !names_a_schema);
        let is_null = |kind: &&Value| match kind {
            Value::Array(kinds) => kinds.contains(&json!("null")),
            Value::String(kind) => kind == "null",
            Value::Null => alternatives.is_none(),
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        };
        types.iter().any(is_null)
    }

    #[test]
    fn a_change_may_be_null_where_null_takes_away() {
        let document = serde_json::to_value(describe()).unwrap();
        let mut found = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let body = &item["patch"]["requestBody"]["content"]["application/json"]["schema"];
            let Some(name) = body["$ref"].as_str() else {
                continue;
            };
            let schema = document.pointer(name.trim_start_matches('#')).unwrap();
            let members = schema["properties"].as_object().unwrap().iter();
            // Ids of the caller may be null, too: they are checks, and no members of the resource.
            let cleared = members.filter(|(name, member)| {
                is_nullable(member) && !["tenant_id", "radiologist_id"].contains(&name.as_str())
            });
            let mut names: Vec<&str> = cleared.map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            found.push((path.as_str(), names));
        }
        found.sort_unstable();
        let expected = CLEARED.map(|(path, names)| (path, names.to_vec()));
        assert_eq!(found, expected);
    }
}
