//! The outermost layer: ids, the log line, the metrics, and every problem's last form.

use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderValue, Method, Version, header};
use roentgen_store::clock;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::app::App;
use crate::problem::{Code, Problem, ProblemDocument};
use crate::routes::canonical;
use crate::serve::Reserve;

const REQUEST_ID: &str = "x-request-id";
const CORRELATION_ID: &str = "x-correlation-id";
/// A body up to this many bytes comes with its head, and does no harm unread.
const SMALL_BODY: u64 = 4096;

/// Around every request.
pub(crate) async fn layer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = clock::fresh_id().to_string();
    let correlation = correlation(&mut request, &request_id);
    let bad_correlation = correlation.is_none();
    let correlation_id = correlation.unwrap_or_else(|| request_id.clone());
    let method = request.method().clone();
    let route = route(&request);
    let (is_http_1, may_stay_unread) = (is_http_1(&request), may_stay_unread(&request));
    let span = tracing::info_span!("request", %method, %route, %request_id, %correlation_id);
    let handled = async {
        if bad_correlation {
            let refused = Problem::new(Code::InvalidHeader, "X-Correlation-Id must be a UUID");
            return refused.into_response();
        }
        if let Some(refused) = beyond_the_limits(&request) {
            return refused.into_response();
        }
        next.run(request).await
    };
    let answered = AssertUnwindSafe(handled)
        .catch_unwind()
        .instrument(span.clone())
        .await;
    let mut response = answered.unwrap_or_else(|_panic| {
        span.in_scope(|| tracing::error!("a handler panicked"));
        Problem::new(
            Code::Internal,
            "the request id names the log lines that say more",
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
    let refused = response.status().is_client_error() || response.status().is_server_error();
    let ends = is_http_1 && app.stop.is_cancelled();
    if ends || may_stay_unread && refused {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(status, "answered"));
    measure(&method, route, status, started);
    response
}

/// Refuses everything but health on a connection that is one too many.
fn beyond_the_limits(request: &Request) -> Option<Problem> {
    let reserve = request.extensions().get::<Reserve>()?;
    let is_health = canonical(request.uri().path()).starts_with("/health/");
    (!is_health).then(|| Problem::new(Code::Unavailable, reserve.detail()))
}

/// The caller's correlation id, or the request's own where it sent none; `None` where what it sent is none.
fn correlation(request: &mut Request, request_id: &str) -> Option<String> {
    if let Some(given) = request.headers().get(CORRELATION_ID) {
        return Some(Uuid::parse_str(given.to_str().ok()?).ok()?.to_string());
    }
    let value = HeaderValue::from_str(request_id).ok()?;
    request.headers_mut().insert(CORRELATION_ID, value);
    Some(request_id.to_owned())
}

/// Whether a refusal may come before the body was read. The connection ends with it then, and the client has to be told,
/// or it sends its next request into a connection that is being closed.
fn may_stay_unread(request: &Request) -> bool {
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
    let large = length.is_some_and(|it| it > SMALL_BODY);
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    is_http_1(request) && (large || chunked)
}

/// HTTP/2 has other words for a connection's end, and hyper says them.
fn is_http_1(request: &Request) -> bool {
    request.version() <= Version::HTTP_11
}

/// The route's template: ids in paths are no labels.
fn route(request: &Request) -> String {
    let path = request.extensions().get::<MatchedPath>();
    path.map_or("(none)", |it| canonical(it.as_str()))
        .to_owned()
}

fn measure(method: &Method, route: String, status: u16, started: Instant) {
    let labels = [
        ("method", method.as_str().to_owned()),
        ("route", route),
        ("status", status.to_string()),
    ];
    metrics::counter!("roentgen_requests_total", &labels).increment(1);
    metrics::histogram!("roentgen_request_seconds", &labels)
        .record(started.elapsed().as_secs_f64());
}
