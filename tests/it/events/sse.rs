//! The feed as server-sent events.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, SseFrame, SseReader};
use serde_json::json;

use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(
    goes_on_as_events_come_and_after_a_break,
    says_where_it_is_while_nothing_comes,
    ends_when_the_server_stops,
);

async fn goes_on_as_events_come_and_after_a_break(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let first = house
        .create_order(json!({ "indication": "wombat" }))
        .await?;
    let pages = house.client.get("/events").await?.lines();
    let mut feed = house.client.listen("/events").await?;
    let kind = feed.response.headers().get("content-type").cloned();
    assert_eq!(
        kind.as_ref().map(|header| header.as_bytes()),
        Some(b"text/event-stream".as_slice())
    );
    for event in &pages {
        let frame = event_in(&mut feed).await?;
        assert_eq!(&frame.data, event);
        assert_eq!(
            (&frame.id, json!(frame.event)),
            (&event["position"].to_string(), event["type"].clone())
        );
    }
    let second = house.create_order(json!({})).await?;
    let frame = event_in(&mut feed).await?;
    assert_eq!(
        (frame.id, &frame.data["phi"]),
        (second.header("log-position"), &json!("sealed"))
    );
    drop(feed);

    let third = house.create_order(json!({})).await?;
    let resumed = house
        .client
        .with("last-event-id", &first.header("log-position"));
    let mut feed = resumed
        .listen("/events?after=0&phi=true&types=ImagingOrder.Created")
        .await?;
    for created in [&second, &third] {
        let frame = event_in(&mut feed).await?;
        assert_eq!(
            (&frame.id, &frame.data["phi"]),
            (&created.header("log-position"), &json!("open"))
        );
    }
    for malformed in ["", "x", "-1", "18446744073709551615"] {
        let client = house
            .client
            .with("accept", "text/event-stream")
            .with("last-event-id", malformed);
        let answer = client.get("/events").await?;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_header"),
            "{malformed}"
        );
    }
    let sse = house.client.with("accept", "text/event-stream");
    let answer = sse.get("/events?limit=x").await?;
    assert_eq!(answer.code(), ProblemCode::InvalidParameter.as_str());
    assert_all_rejected(
        &house.client,
        vec![RejectedRequest::get(
            "/events?limit=x",
            ProblemCode::InvalidParameter,
        )],
    )
    .await
}

/// The heartbeat's id advances a reader whose filter matches no event.
async fn says_where_it_is_while_nothing_comes(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let mut feed = house
        .client
        .listen("/events?types=ImagingOrder.Completed")
        .await?;
    let heartbeat = feed.next().await?.unwrap_or_default();
    assert_eq!(
        (heartbeat.event.as_str(), &heartbeat.data),
        ("", &json!(null))
    );
    assert_eq!(heartbeat.id, log_head(&house.client).await?.to_string());
    Ok(())
}

async fn ends_when_the_server_stops(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let mut feed = house.client.listen("/events").await?;
    event_in(&mut feed).await?;
    event_in(&mut feed).await?;
    assert_eq!(house.server.terminate()?, Some(0));
    while let Some(frame) = feed.next().await? {
        assert_eq!(frame.event, "", "{frame:?}");
    }
    Ok(())
}

/// Returns the next event and skips heartbeats.
async fn event_in(feed: &mut SseReader) -> Result<SseFrame> {
    loop {
        let frame = feed.next().await?;
        let frame = frame.ok_or_else(|| anyhow::anyhow!("the feed ended"))?;
        if !frame.event.is_empty() {
            return Ok(frame);
        }
    }
}
