//! Handlers of `/health/*` and `/metrics`.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use roentgen_commands::policies;
use roentgen_relay as relay;
use roentgen_store::database::Store;
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::command_request::json;
use crate::logged;
use crate::problem::{Problem, ProblemCode};

/// Maximum time for the database to report the status.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// Reports that the process runs.
#[utoipa::path(get, path = "/health/live", responses((status = 200)))]
pub(crate) async fn live() -> Response {
    json(StatusCode::OK, json!({ "status": "live" }).to_string())
}

/// Reports readiness: the database responds, the read models match the log, and no patient key is missing. The response
/// also shows the relay's progress and the number of parked streams; neither affects readiness, since commands and
/// reads continue without NATS and past parked streams.
#[utoipa::path(get, path = "/health/ready",
    responses((status = 200), (status = 503)))]
pub(crate) async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    if app.stop.is_cancelled() {
        return Err(Problem::new(
            ProblemCode::Unavailable,
            "server is shutting down",
        ));
    }
    logged::fits_models(&app)?;
    if let Some(refused) = app.policies.halt_reason() {
        return Err(Problem::new(ProblemCode::Unavailable, refused.to_string()));
    }
    let looked = async {
        all_keys_are_there(&app).await?;
        Readiness::check(&app).await
    };
    let standing = tokio::time::timeout(STATUS_TIMEOUT, looked).await;
    let standing = standing.unwrap_or_else(|_elapsed| {
        let detail = "database did not respond within 2 s";
        Err(Problem::new(ProblemCode::Unavailable, detail))
    });
    let body = serde_json::to_string(&standing?).map_err(|error| Problem::internal(&error))?;
    Ok(json(StatusCode::OK, body))
}

/// Checks that none of the keys needed since the start of this process is missing.
async fn all_keys_are_there(app: &App) -> Result<(), Problem> {
    let Store {
        engine, keyring, ..
    } = &app.store;
    match keyring.still_missing(&**engine).await? {
        0 => Ok(()),
        missing => Err(Problem::new(
            ProblemCode::KeysMissing,
            format!(
                "{missing} patient keys that events are sealed under are neither there nor have a tombstone: restore \
                 the keys"
            ),
        )),
    }
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    head: u64,
    projected: u64,
    lag: u64,
    parked: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<RelayHealth>,
}

impl Readiness {
    /// Reads the status from the database: this node's view of the read models may be a second old, or predate a crash.
    async fn check(app: &App) -> Result<Self, Problem> {
        let read_models = app.parking.status().await?;
        let mut models = read_models.models.iter();
        if let Some(unbuilt) = models.find(|status| status.live.is_none()) {
            let detail = format!("read model {} is being built", unbuilt.model.name);
            return Err(Problem::new(ProblemCode::Unavailable, detail));
        }
        let relay = match &app.relay {
            Some(relay) => Some(RelayHealth::check(relay).await?),
            None => None,
        };
        Ok(Self {
            status: "ready",
            head: read_models.head,
            projected: read_models.position(),
            lag: read_models.lag(),
            parked: read_models
                .models
                .iter()
                .map(|status| status.parked.len())
                .sum(),
            relay,
        })
    }
}

/// Progress of the relay, and the reason if it is halted.
#[derive(Serialize)]
struct RelayHealth {
    published: u64,
    lag: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl RelayHealth {
    async fn check(relay: &relay::RelayProgress) -> Result<Self, Problem> {
        let relay::RelayStatus { published, lag } = relay.status().await?;
        let refused = relay.halt_reason();
        Ok(Self {
            published,
            lag,
            problem: refused.as_ref().map(relay::HaltReason::name),
            detail: refused.map(|reason| reason.to_string()),
        })
    }
}

/// Returns metrics in Prometheus text format.
#[utoipa::path(get, path = "/metrics",
    responses((status = 200, content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let relay = async {
        if let Some(relay) = &app.relay {
            relay.record_metrics().await;
        }
    };
    tokio::join!(measure_read_models(&app), measure_policies(&app), relay);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, app.metrics.0.render()).into_response()
}

/// Measures the read models over all nodes. If the database does not respond in time, the value is NaN.
async fn measure_read_models(app: &App) {
    let standing = tokio::time::timeout(STATUS_TIMEOUT, app.parking.status()).await;
    let standing = standing.ok().and_then(Result::ok);
    let lag = standing
        .as_ref()
        .map_or(f64::NAN, |status| status.lag() as f64);
    metrics::gauge!("roentgen_projection_lag_events").set(lag);
    for table in standing.iter().flat_map(|status| &status.models) {
        metrics::gauge!("roentgen_parked_streams", "projection" => table.model.name)
            .set(table.parked.len() as f64);
    }
}

/// Measures the policies in the same way.
async fn measure_policies(app: &App) {
    let lag = tokio::time::timeout(STATUS_TIMEOUT, policies::lag(&app.store)).await;
    let lag = lag.ok().and_then(Result::ok);
    let lag = lag.map_or(f64::NAN, |number| number as f64);
    metrics::gauge!("roentgen_policy_lag_events").set(lag);
}
