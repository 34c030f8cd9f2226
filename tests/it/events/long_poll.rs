//! Long polling at the end of the log.

use std::time::{Duration, Instant};

use anyhow::Result;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::json;

use crate::assertions::log_head;
use crate::test_app::{TestApp, create_catalog, fresh, on_both_engines};

on_both_engines!(is_answered_when_an_event_comes, is_answered_at_its_end);

async fn is_answered_when_an_event_comes(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let neighbour = house.second_server().await?;
    for writer in [
        house.client.clone(),
        house.client.with_base_url(&neighbour.base),
    ] {
        let after = log_head(&house.client).await?;
        let path = format!("/events?after={after}&wait=30&types=ImagingOrder.Created");
        let begun = Instant::now();
        let body = house.order();
        let (page, created) = tokio::join!(
            house.client.get(&path),
            writer.post("/imaging/orders", &body)
        );
        let page = page?;
        let created = created?;
        assert_eq!((page.status, page.lines().len()), (200, 1), "{page:?}");
        assert_eq!(page.lines()[0]["stream"]["id"], created.json()["id"]);
        assert_eq!(page.number("scanned-to"), created.number("log-position"));
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
    }
    Ok(())
}

async fn is_answered_at_its_end(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let after = log_head(&house.client).await?;
    let begun = Instant::now();
    let path = format!("/events?after={after}&wait=1");
    let other = TestClient::dev(&house.server.base, fresh());
    let (page, others) = tokio::join!(house.client.get(&path), create_catalog(&other));
    let page = page?;
    let _ = others?;
    let took = begun.elapsed();
    assert_eq!(
        (page.status, page.text.as_str()),
        (200, ""),
        "another tenant's events are none: {page:?}"
    );
    assert!(
        (Duration::from_millis(950)..Duration::from_secs(5)).contains(&took),
        "{took:?}"
    );
    assert!(page.number("scanned-to") >= after, "{page:?}");
    house.create_order(json!({})).await?;
    let next = format!("/events?after={}&wait=30", page.number("scanned-to"));
    assert_eq!(house.client.get(&next).await?.lines().len(), 1);
    Ok(())
}
