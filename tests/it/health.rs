//! `/health/*` and `/metrics`.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::json;

use crate::assertions::{assert_problem, log_head};
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(
    a_refusal_that_leaves_a_large_body_unread_says_that_the_connection_ends,
    says_how_it_is,
    shows_metrics_to_the_operator_only
);

async fn says_how_it_is(engine: EngineKind) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    let nobody = TestClient::new(&house.server.base);
    let live = nobody.get("/health/live").await?;
    assert_eq!(
        (live.status, live.json()),
        (200, json!({ "status": "live" }))
    );
    house.create_order(json!({})).await?;
    house.client.get("/imaging/orders").await?;
    let ready = nobody.get("/health/ready").await?;
    let head = log_head(&house.client).await?;
    assert_eq!(ready.status, 200, "{ready:?}");
    assert_eq!(
        ready.json(),
        json!({ "status": "ready", "head": head, "projected": head, "lag": 0, "parked": 0 })
    );
    Ok(())
}

async fn shows_metrics_to_the_operator_only(engine: EngineKind) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    let place = house.create_order_in_status("scheduled").await?;
    house.client.get(&place).await?;
    assert_problem(
        &TestClient::new(&house.server.base).get("/metrics").await?,
        ProblemCode::Unauthenticated,
        "nobody",
    );
    assert_problem(
        &house.client.get("/metrics").await?,
        ProblemCode::Forbidden,
        "admin",
    );
    let metrics = house.operator()?.get("/metrics").await?;
    assert_eq!(metrics.status, 200, "{metrics:?}");
    assert!(
        metrics.header("content-type").starts_with("text/plain"),
        "{metrics:?}"
    );
    for expected in [
        "roentgen_requests_total",
        "route=\"/imaging/orders/{id}\"",
        "roentgen_request_seconds_bucket",
    ] {
        assert!(
            metrics.text.contains(expected),
            "{expected} is not in {}",
            metrics.text
        );
    }
    let id = place.rsplit('/').next().unwrap_or_default();
    assert!(
        !metrics.text.contains(id),
        "an id is no label: {}",
        metrics.text
    );
    Ok(())
}

async fn a_refusal_that_leaves_a_large_body_unread_says_that_the_connection_ends(
    engine: EngineKind,
) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for (bytes, connection) in [(10, ""), (70_000, "close")] {
        let body = json!("x".repeat(bytes));
        let refused = house.client.post("/nothing", &body).await?;
        assert_eq!(refused.status, 404, "{refused:?}");
        assert_eq!(refused.header("connection"), connection, "{bytes} bytes");
    }
    let chunked = vec![b'x'; 70_000];
    let refused = house.client.post_chunked("/nothing", chunked).await?;
    assert_eq!(refused.header("connection"), "close", "{refused:?}");
    Ok(())
}
