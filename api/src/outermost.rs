//! The outermost layer: ids, the log line, the metrics, and every problem's last form.

use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderValue, Method};
use roentgen_store::clock;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::problem::{Code, Problem, ProblemDocument};
use crate::routes::canonical;

const REQUEST_ID: &str = "x-request-id";
const CORRELATION_ID: &str = "x-correlation-id";

/// Around every request.
pub(crate) async fn layer(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = clock::fresh_id().to_string();
    let correlation_id = correlation(&mut request, &request_id);
    let method = request.method().clone();
    let route = route(&request);
    let span = tracing::info_span!("request", %method, %route, %request_id, %correlation_id);
    let answered = AssertUnwindSafe(next.run(request))
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
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(status, "answered"));
    measure(&method, route, status, started);
    response
}

/// The caller's correlation id where it is one; a new one where it sent none. A bad one stays, for the handler to refuse.
fn correlation(request: &mut Request, request_id: &str) -> String {
    let given = request
        .headers()
        .get(CORRELATION_ID)
        .and_then(|it| it.to_str().ok());
    match given.and_then(|it| Uuid::parse_str(it).ok()) {
        Some(id) => id.to_string(),
        None => {
            if !request.headers().contains_key(CORRELATION_ID)
                && let Ok(value) = HeaderValue::from_str(request_id)
            {
                request.headers_mut().insert(CORRELATION_ID, value);
            }
            request_id.to_owned()
        }
    }
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
