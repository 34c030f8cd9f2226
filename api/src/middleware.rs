//! Request middleware around every route: ids, logging, metrics, final form of problems, and default headers for
//! browsers and caches.

use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use roentgen_store::clock;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::admission;
use crate::app::App;
use crate::problem::{Problem, ProblemCode, ProblemDocument};
use crate::routes::strip_version_prefix;
use crate::serve::Reserve;

const REQUEST_ID: &str = "x-request-id";
const CORRELATION_ID: &str = "x-correlation-id";
/// Maximum length in bytes of a body that can be left unread without harm: it arrives together with its headers.
const SMALL_BODY: u64 = 4096;
/// Default response headers. Responses contain PHI and must not be cached; browsers must not execute them or guess
/// another content type.
static UNLESS_SAID: [(HeaderName, HeaderValue); 4] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
];

/// Wraps every request.
pub(crate) async fn request_context(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let request_id = clock::fresh_id().to_string();
    let correlation_id = correlation(request.headers_mut(), &request_id);
    let method = admission::method_label(request.method());
    let route = route(&request);
    let is_http_1 = is_http_1(&request);
    let may_stay_unread = can_leave_body_unread(&request);
    let span = tracing::info_span!("request", method, %route, %request_id, %correlation_id);
    let handled = async {
        let admitted = admission::check(&request, app.identity.is_dev());
        match admitted.and_then(|()| within_the_limits(&request)) {
            Ok(()) => next.run(request).await,
            Err(refused) => refused.into_response(),
        }
    };
    let answered = AssertUnwindSafe(handled)
        .catch_unwind()
        .instrument(span.clone())
        .await;
    let mut response = answered.unwrap_or_else(|_panic| {
        span.in_scope(|| tracing::error!(event = "http.panic", "handler panicked"));
        Problem::new(
            ProblemCode::Internal,
            "an internal error occurred; quote request_id when reporting it",
        )
        .into_response()
    });
    if let Some(document) = response.extensions_mut().remove::<ProblemDocument>() {
        response = document.respond(&request_id, &std::mem::take(response.headers_mut()));
    }
    for (name, value) in [(REQUEST_ID, &request_id), (CORRELATION_ID, &correlation_id)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    for (name, value) in &UNLESS_SAID {
        let said = response.headers_mut().entry(name);
        said.or_insert_with(|| value.clone());
    }
    let refused = response.status().is_client_error() || response.status().is_server_error();
    let ends = is_http_1 && app.stop.is_cancelled();
    if ends || may_stay_unread && refused {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(event = "http.response", status, "request completed"));
    measure(method, route, status, started);
    response
}

/// Rejects requests other than health checks on a connection beyond the limits.
fn within_the_limits(request: &Request) -> Result<(), Problem> {
    let is_health = strip_version_prefix(request.uri().path()).starts_with("/health/");
    match request.extensions().get::<Reserve>() {
        Some(reserve) if !is_health => {
            Err(Problem::new(ProblemCode::Unavailable, reserve.detail()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns the caller's correlation id, or the request id if the caller's is missing or not a UUID (gateways send ids
/// in other formats). Handlers read the result from the header.
fn correlation(headers: &mut HeaderMap, request_id: &str) -> String {
    let given = headers
        .get(CORRELATION_ID)
        .and_then(|value| Uuid::parse_str(value.to_str().ok()?).ok());
    let id = given.map_or_else(|| request_id.to_owned(), |given| given.to_string());
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(CORRELATION_ID, value);
    }
    id
}

/// Returns whether a rejection may be sent before the body is read. The connection then closes, and the client must be
/// told: otherwise it sends its next request into a closing connection.
fn can_leave_body_unread(request: &Request) -> bool {
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|header| header.to_str().ok()?.parse::<u64>().ok());
    let large = length.is_some_and(|length| length > SMALL_BODY);
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    is_http_1(request) && (large || chunked)
}

/// Returns whether the request is HTTP/1. HTTP/2 signals the end of a connection differently, and hyper does so.
fn is_http_1(request: &Request) -> bool {
    request.version() <= Version::HTTP_11
}

/// Returns the route template for labels, which must not contain ids.
fn route(request: &Request) -> String {
    let path = request.extensions().get::<MatchedPath>();
    path.map_or("(none)", |path| strip_version_prefix(path.as_str()))
        .to_owned()
}

fn measure(method: &'static str, route: String, status: u16, started: Instant) {
    let labels = [
        ("method", method.to_owned()),
        ("route", route),
        ("status", status.to_string()),
    ];
    metrics::counter!("roentgen_requests_total", &labels).increment(1);
    metrics::histogram!("roentgen_request_seconds", &labels)
        .record(started.elapsed().as_secs_f64());
}
