//! Reads of an order: freshness, earlier states and correlation ids.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{DbFile, EngineKind, RawDatabase, TestDatabase};
use serde_json::json;

use crate::assertions::{RejectedRequest, assert_all_rejected, assert_problem, log_head};
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    as_of_returns_past_state,
    as_of_returns_past_catalog_entries,
    waits_for_the_position_that_is_asked,
    shows_no_position_past_the_logs_end,
    keeps_the_correlation_id,
    makes_an_own_correlation_id_where_it_was_given_none,
);

async fn as_of_returns_past_state(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let before = log_head(&house.client).await?;
    let mut versions = vec![
        house
            .create_order(json!({ "metadata": { "n": 0 } }))
            .await?,
    ];
    let place = versions[0].header("location");
    for change in [
        json!({ "status": "scheduled" }),
        json!({ "metadata": { "n": 1 } }),
        json!({ "status": "cancelled", "cancellation_reason": "moved away" }),
    ] {
        versions.push(house.client.patch(&place, &change).await?);
    }
    let at = |as_of: &str| format!("{place}?as_of={as_of}");
    for (n, version) in versions.iter().enumerate() {
        let time = version.text_at("/updated_at");
        let later = versions
            .get(n + 1)
            .map(|response| response.text_at("/updated_at"));
        let by_position = house
            .client
            .get(&at(&version.header("log-position")))
            .await?;
        assert_eq!(
            (by_position.status, &by_position.text),
            (200, &version.text)
        );
        assert_eq!(by_position.header("etag"), version.header("etag"));
        if later.as_ref() != Some(&time) {
            let by_time = house.client.get(&at(&time)).await?;
            assert_eq!(
                (by_time.status, &by_time.text),
                (200, &version.text),
                "{time}"
            );
        }
    }
    let last = versions
        .last()
        .map(|response| response.text.clone())
        .unwrap_or_default();
    for future in ["9999-01-01", "9999-12-30T00:00:00Z"] {
        assert_eq!(house.client.get(&at(future)).await?.text, last, "{future}");
    }
    let early = at(&before.to_string());
    let absurd = at("-1");
    let refused = vec![
        RejectedRequest::get(&early, ProblemCode::NotFound),
        RejectedRequest::get(&absurd, ProblemCode::InvalidParameter).at(&["?as_of"]),
    ];
    assert_all_rejected(&house.client, refused).await?;
    for (as_of, code) in [
        ("0", ProblemCode::NotFound),
        ("2020-01-01", ProblemCode::NotFound),
        ("2020-01-01T00:00:00Z", ProblemCode::NotFound),
        ("", ProblemCode::InvalidParameter),
        ("yesterday", ProblemCode::InvalidParameter),
        ("2026-02-30", ProblemCode::InvalidParameter),
    ] {
        assert_all_rejected(&house.client, vec![RejectedRequest::get(&at(as_of), code)]).await?;
    }
    Ok(())
}

async fn as_of_returns_past_catalog_entries(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let head = log_head(&house.client).await?;
    let procedure = format!("/imaging/procedures/{}", house.procedure);
    let then = house
        .client
        .get(&format!("{procedure}?as_of={head}"))
        .await?;
    assert_eq!(then.text, house.client.get(&procedure).await?.text);
    Ok(())
}

async fn shows_no_position_past_the_logs_end(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let created = house.create_order(json!({})).await?;
    let place = created.header("location");
    let end = created.number("log-position");
    let read = house.client.get(&format!("{place}?as_of={end}")).await?;
    assert_eq!((read.status, &read.text), (200, &created.text));
    assert_eq!(read.number("log-position"), end);
    let beyond = [end + 1, 99_999, i64::MAX as u64, u64::MAX];
    let beyond = beyond.map(|position| format!("{place}?as_of={position}"));
    let refused = beyond
        .iter()
        .map(|path| RejectedRequest::get(path, ProblemCode::BeyondLog));
    assert_all_rejected(&house.client, refused.collect()).await
}

async fn waits_for_the_position_that_is_asked(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let created = house.create_order(json!({})).await?;
    let place = created.header("location");
    let position = created.header("log-position");
    let asking = |position: &str| house.client.with("min-log-position", position);
    let paths = [
        &place,
        "/imaging/orders",
        "/imaging/procedures",
        "/imaging/modalities",
    ];
    let each = paths.map(async |path| {
        let met = asking(&position).get(path).await?;
        assert_eq!(met.status, 200, "{met:?}");
        let shown = met.number("log-position");
        assert!(shown >= created.number("log-position"), "{met:?}");

        let beyond = asking("1000000").get(path).await?;
        assert_problem(&beyond, ProblemCode::BeyondLog, path);
        anyhow::Ok(())
    });
    try_join_all(each).await?;

    let mut holder = projector_held(&house.database).await?;
    let another = house.create_order(json!({})).await?;
    let position = another.header("log-position");
    let waiting = asking(&position);
    let each = paths.map(async |path| {
        let begun = Instant::now();
        let behind = waiting.get(path).await?;
        assert_problem(&behind, ProblemCode::ProjectionLagging, path);
        assert_eq!(behind.header("retry-after"), "1");
        assert!(begun.elapsed() >= Duration::from_millis(1900), "{path}");

        let hasty = waiting.with("prefer", "respond-async");
        let at_once = hasty.get(path).await?;
        assert_eq!(at_once.status, 200, "{at_once:?}");
        anyhow::Ok(())
    });
    try_join_all(each).await?;
    holder.run("ROLLBACK").await?;
    for malformed in ["", "x", "-1", "1.5", "99999999999999999999"] {
        let refused = vec![RejectedRequest::get(&place, ProblemCode::InvalidHeader)];
        assert_all_rejected(&asking(malformed), refused).await?;
    }
    Ok(())
}

/// Blocks the projector's writes until the transaction is rolled back. The read models can still be read.
async fn projector_held(database: &TestDatabase) -> Result<RawDatabase> {
    let mut holder = RawDatabase::on(database, DbFile::Read).await?;
    match database.engine {
        EngineKind::Sqlite => holder.run("BEGIN IMMEDIATE").await?,
        EngineKind::Postgres => {
            holder.run("BEGIN").await?;
            holder.run("LOCK TABLE generations IN SHARE MODE").await?
        }
    };
    Ok(holder)
}

async fn keeps_the_correlation_id(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let correlation = fresh().to_string();
    let client = house.client.with("x-correlation-id", &correlation);
    let created = client.post("/imaging/orders", &house.order()).await?;
    let place = created.header("location");
    let moved = client
        .patch(&place, &json!({ "status": "scheduled" }))
        .await?;
    let read = client.get(&place).await?;
    for answer in [&created, &moved, &read] {
        assert_eq!(answer.header("x-correlation-id"), correlation);
    }
    let alone = house
        .client
        .patch(&place, &json!({ "status": "cancelled" }))
        .await?;
    let events = house
        .client
        .get(&format!("/events?stream_id={}", created.text_at("/id")))
        .await?;
    let kept: Vec<String> = events
        .lines()
        .iter()
        .map(|event| {
            event["correlation_id"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    assert_eq!(
        kept,
        [
            correlation.clone(),
            correlation,
            alone.header("x-correlation-id")
        ]
    );
    assert_eq!(
        alone.header("x-correlation-id"),
        alone.header("x-request-id")
    );
    Ok(())
}

/// Gateways send ids of other formats in the header.
async fn makes_an_own_correlation_id_where_it_was_given_none(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let list = "/imaging/orders";
    let body = house.order();
    for foreign in [
        "",
        "x",
        "1234",
        "ffffffff-ffff-ffff-ffff-fffffffffffg",
        "4f1c2a8e-6d0f-4e0e-9a7a-1d2b3c4d5e6f#1",
        "0351335E-5C3E_AC14010B-0050_00000000_0000",
    ] {
        let client = house.client.with("x-correlation-id", foreign);
        let created = client.post(list, &body).await?;
        let read = client.get(list).await?;
        let live = client.get("/health/live").await?;
        assert_eq!(
            [created.status, read.status, live.status],
            [201, 200, 200],
            "{foreign}"
        );
        for answer in [&created, &read, &live] {
            let ids = ["x-correlation-id", "x-request-id"].map(|name| answer.header(name));
            assert!(!ids[0].is_empty() && ids[0] == ids[1], "{answer:?}");
        }
        let events = format!("/events?stream_id={}", created.text_at("/id"));
        let events = house.client.get(&events).await?.lines();
        let kept = &events[0]["correlation_id"];
        assert_eq!(*kept, created.header("x-correlation-id"), "{foreign}");
    }
    Ok(())
}
