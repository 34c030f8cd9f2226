//! Tests of the memory that reading a body costs, on every route that accepts one.

mod worst;

use std::time::Duration;

use axum::body::Body;
use http::header;
use roentgen_commands::policies::PolicySettings;
use roentgen_store::database::DatabaseUrl;
use roentgen_store::keys::MasterKey;
use roentgen_store::lifecycle::BackgroundTasks;
use secrecy::SecretString;
use tempfile::TempDir;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::*;
use crate::ALLOCATED;
use crate::app::{AppParts, LogConsumers};
use crate::authorization::Role;
use crate::config::Timeouts;
use crate::identity::{TokenGrant, TokenRequirements, TokenVerifier, mint};
use crate::telemetry;

/// Maximum memory allocated while a request is handled, as a multiple of the body's length.
const FACTOR: usize = 4;

/// App without a port, on an empty database, and a token with all roles except operator.
struct Served {
    router: Router,
    token: String,
    _directory: TempDir,
}

async fn served() -> Served {
    let directory = tempfile::tempdir().unwrap();
    let engine = DatabaseUrl::Sqlite(directory.path().join("roentgen.db"));
    let engine = engine.connect().await.unwrap();
    engine.migrate().await.unwrap();
    let expected = TokenRequirements {
        issuer: None,
        audience: None,
    };
    let secret = SecretString::from("0123456789abcdef".repeat(2));
    let grant = TokenGrant {
        roles: Role::ALL
            .iter()
            .copied()
            .filter(|role| *role != Role::Operator)
            .collect(),
        tenant: Some(Uuid::from_u128(1)),
        practitioner: Some(Uuid::from_u128(2)),
        ttl: Duration::from_secs(3600),
    };
    let tasks = BackgroundTasks::new();
    let parts = AppParts {
        engine,
        master: MasterKey::parse(&MasterKey::generate()).unwrap(),
        identity: TokenVerifier::with_shared_secret(&secret, &expected, false),
        metrics: telemetry::metrics(&tasks),
        metrics_open: false,
        times: Timeouts {
            claim_timeout: Duration::from_secs(1800),
            critical_deadline: Duration::from_secs(3600),
            viewer_token_ttl: Duration::from_secs(600),
        },
        consumers: LogConsumers {
            projections: roentgen_projections::all(),
            policies: PolicySettings {
                claim_timeout: Duration::from_secs(1800),
            },
            relay: None,
        },
    };
    let app = App::start(parts, &tasks);
    let app = app.await.unwrap();
    Served {
        router: router(app, ApiService::value_variants()),
        token: mint(&secret, &expected, &grant).unwrap(),
        _directory: directory,
    }
}

impl Served {
    /// Returns the status of the response, and the peak of bytes allocated in addition.
    async fn cost(&self, verb: &str, path: &str, body: bytes::Bytes) -> (http::StatusCode, usize) {
        let request = Request::builder()
            .method(verb)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .unwrap();
        let before = ALLOCATED.current_usage();
        ALLOCATED.reset_peak_usage();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let peak = ALLOCATED.peak_usage();
        (answer.status(), peak.saturating_sub(before))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_costs_more_than_four_times_its_length() {
    let served = served().await;
    let mut asked = 0;
    for endpoint in endpoints(false) {
        if !matches!(endpoint.method, "POST" | "PUT" | "PATCH")
            || endpoint.access == RouteAccess::Public
        {
            continue;
        }
        let path = endpoint
            .path
            .replace("{id}", &Uuid::from_u128(3).to_string());
        let length = endpoint.body_limits.bytes();
        for (name, body) in worst::bodies(&endpoint) {
            assert_eq!(body.len(), length, "{name}");
            let (status, cost) = served.cost(endpoint.method, &path, body.into()).await;
            assert!(status.is_client_error(), "{endpoint:?}, {name}: {status}");
            assert!(
                cost <= FACTOR * length,
                "{endpoint:?}, {name}: {cost} bytes for {length}, answered {status}"
            );
            asked += 1;
        }
    }
    assert!(asked > 300, "{asked} bodies");
}
