//! `/health/*` and `/metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

use crate::app::App;
use crate::call::json;
use crate::problem::{Code, Problem};

/// The process runs.
#[utoipa::path(get, path = "/health/live", responses((status = 200)))]
pub(crate) async fn live() -> Response {
    json(StatusCode::OK, json!({ "status": "live" }).to_string())
}

/// The process can do its work: the database answers and the read models fit the log.
#[utoipa::path(get, path = "/health/ready",
    responses((status = 200), (status = 503)))]
pub(crate) async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    if app.stop.is_cancelled() {
        return Err(Problem::new(Code::Unavailable, "the server is stopping"));
    }
    app.store.engine.ping().await?;
    if let Some(refused) = app.progress.refused() {
        return Err(Problem::new(Code::Unavailable, refused.to_string()));
    }
    if let Some(refused) = app.policies.refused() {
        return Err(Problem::new(Code::Unavailable, refused.to_string()));
    }
    let head = app.store.engine.head().await?.position;
    let projected = app.progress.position();
    let lag = head.saturating_sub(projected);
    let body = json!({ "status": "ready", "head": head, "projected": projected, "lag": lag });
    Ok(json(StatusCode::OK, body.to_string()))
}

/// Prometheus text.
#[utoipa::path(get, path = "/metrics",
    responses((status = 200, content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, app.metrics.0.render()).into_response()
}
