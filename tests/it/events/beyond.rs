//! Requests for events after a position that the log does not have.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient, TestDatabase};
use serde_json::json;

use crate::assertions::{RejectedRequest, assert_all_rejected, assert_problem, log_head};
use crate::imaging_ai::{OUTPUTS, a_task};
use crate::test_app::{TestApp, fresh, on_both_engines, serve};

on_both_engines!(
    is_refused_by_name_wherever_a_position_is_taken,
    an_empty_log_ends_at_0,
    another_nodes_events_are_no_such_thing,
);

async fn is_refused_by_name_wherever_a_position_is_taken(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let place = house.create_order(json!({})).await?.header("location");
    let output = an_output(&house).await?;
    let end = log_head(&house.client).await?;
    for beyond in [end + 1, end + 1_000, i64::MAX as u64] {
        let paths = [
            format!("/events?after={beyond}"),
            format!("/events?after={beyond}&wait=60"),
            format!("/events?after={beyond}&types=Nothing"),
            format!("{place}?as_of={beyond}"),
            format!("{output}?as_of={beyond}"),
        ];
        let refused = paths
            .iter()
            .map(|path| RejectedRequest::get(path, ProblemCode::BeyondLog));
        assert_all_rejected(&house.client, refused.collect()).await?;
        let sse = house.client.with("accept", "text/event-stream");
        assert_problem(&sse.get(&paths[0]).await?, ProblemCode::BeyondLog, "SSE");
        let resumed = sse.with("last-event-id", &beyond.to_string());
        assert_problem(
            &resumed.get("/events").await?,
            ProblemCode::BeyondLog,
            "resumed",
        );
        let waiting = house.client.with("min-log-position", &beyond.to_string());
        let hurried = waiting.with("prefer", "respond-async");
        let of_the_past = format!("{place}?as_of={end}");
        for path in [&place, "/imaging/orders", &output, &of_the_past] {
            assert_problem(&waiting.get(path).await?, ProblemCode::BeyondLog, path);
            assert_problem(&hurried.get(path).await?, ProblemCode::BeyondLog, path);
        }
        let operator = house.operator()?.get(&paths[0]).await?;
        assert_problem(&operator, ProblemCode::BeyondLog, "the operator");
        let said = format!("the log ends at position {end}, ");
        assert!(
            operator.text_at("/detail").starts_with(&said),
            "{operator:?}"
        );
    }
    let at_the_end = format!("/events?after={end}");
    let page = house.client.get(&at_the_end).await?;
    assert_eq!((page.status, page.text.as_str()), (200, ""), "{page:?}");
    let positions = ["scanned-to", "log-position"].map(|name| page.number(name));
    assert_eq!(positions, [end, end]);
    let sse = house.client.with("last-event-id", &end.to_string());
    let mut feed = sse.listen("/events").await?;
    assert_eq!(feed.response.status(), 200);
    let next = house.create_order(json!({})).await?;
    let frame = feed.next().await?.unwrap_or_default();
    assert_eq!(frame.id, next.header("log-position"));
    Ok(())
}

/// Creates an output of an AI model and returns its path. Outputs of this type trigger no policy, so the log does not
/// grow further.
async fn an_output(house: &TestApp) -> Result<String> {
    let body = json!({ "imaging_ai_task_id": a_task(house).await?, "output_type": "quality",
        "payload": { "score": 0.5, "issues": [] } });
    let kept = house.setup().post(OUTPUTS, &body).await?;
    assert_eq!(kept.status, 201, "{kept:?}");
    Ok(kept.header("location"))
}

async fn an_empty_log_ends_at_0(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let server = serve(&database, &["--dev"]).await?;
    let client = TestClient::dev(&server.base, fresh());
    for path in ["/events", "/events?after=0"] {
        let page = client.get(path).await?;
        assert_eq!((page.status, page.text.as_str()), (200, ""), "{page:?}");
        let positions = ["scanned-to", "log-position"].map(|name| page.header(name));
        assert_eq!(positions, ["0", "0"], "{page:?}");
    }
    assert_problem(
        &client.get("/events?after=1").await?,
        ProblemCode::BeyondLog,
        "an empty log",
    );
    Ok(())
}

/// This node may not have been notified of them yet.
async fn another_nodes_events_are_no_such_thing(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let neighbour = house.second_server().await?;
    let there = house.client.with_base_url(&neighbour.base);
    for _ in 0..20 {
        let created = there.post("/imaging/orders", &house.order()).await?;
        let position = created.header("log-position");
        let page = house
            .client
            .get(&format!("/events?after={position}"))
            .await?;
        assert_eq!(page.status, 200, "{page:?}");
        let place = created.header("location");
        let then = house
            .client
            .get(&format!("{place}?as_of={position}"))
            .await?;
        assert_eq!(then.status, 200, "{then:?}");
    }
    Ok(())
}
