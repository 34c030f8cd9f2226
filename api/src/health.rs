//! `/health/*` and `/metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use roentgen_relay as relay;
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::call::json;
use crate::problem::{Code, Problem};

/// The process runs.
#[utoipa::path(get, path = "/health/live", responses((status = 200)))]
pub(crate) async fn live() -> Response {
    json(StatusCode::OK, json!({ "status": "live" }).to_string())
}

/// The process can do its work: the database answers and the read models fit the log. How far the relay is stands beside
/// it: commands and reads go on where NATS is away or its stream is refused; and how many streams the read models have
/// parked: they go on without them.
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
    if let Some(name) = app.parking.unbuilt().await? {
        let detail = format!("the read model {name} is being built");
        return Err(Problem::new(Code::Unavailable, detail));
    }
    let head = app.store.engine.head().await?.position;
    let projected = app.progress.position();
    let lag = head.saturating_sub(projected);
    let parked = app.parking.count().await?;
    let relay = match &app.relay {
        Some(relay) => Some(RelayStanding::of(relay).await?),
        None => None,
    };
    let body = Ready {
        status: "ready",
        head,
        projected,
        lag,
        parked,
        relay,
    };
    let body = serde_json::to_string(&body).map_err(|error| Problem::internal(&error))?;
    Ok(json(StatusCode::OK, body))
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    head: u64,
    projected: u64,
    lag: u64,
    parked: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<RelayStanding>,
}

/// How far the relay is, and why it stands still where it does.
#[derive(Serialize)]
struct RelayStanding {
    published: u64,
    lag: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl RelayStanding {
    async fn of(relay: &relay::Progress) -> Result<Self, Problem> {
        let relay::Standing { published, lag } = relay.standing().await?;
        let refused = relay.refused();
        Ok(Self {
            published,
            lag,
            problem: refused.as_ref().map(relay::Refused::name),
            detail: refused.map(|it| it.to_string()),
        })
    }
}

/// Prometheus text.
#[utoipa::path(get, path = "/metrics",
    responses((status = 200, content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    app.parking.measure().await;
    if let Some(relay) = &app.relay {
        relay.measure().await;
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, app.metrics.0.render()).into_response()
}
