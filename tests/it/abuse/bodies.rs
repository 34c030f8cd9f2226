//! Bodies that cost more than their length suggests, and what is stored of a client's free-form JSON.

use anyhow::Result;
use futures_util::future::try_join_all;
use reqwest::Method;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestResponse};
use serde_json::json;

use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::pacs::fixtures::{archive, series, study};
use crate::test_app::{TestApp, fresh, on_both_engines, with};

on_both_engines!(
    the_worst_bodies_leave_the_server_as_it_was,
    a_list_past_its_bound_is_refused_where_it_stands,
    a_clients_own_json_keeps_every_digit,
    a_clients_own_json_that_cannot_be_kept_is_refused_where_it_stands,
);

const ORDERS: &str = "/imaging/orders";
const SYNC: &str = "/pacs/studies/sync";
/// Number of clients that send the most expensive bodies concurrently.
const CLIENTS: usize = 4;
/// Maximum growth of the server's memory, in bytes.
const GROWN: u64 = 64 << 20;

/// Returns an array of a repeated element, of about this number of bytes.
fn many(part: &str, bytes: usize) -> String {
    format!(
        "[{}{part}]",
        format!("{part},").repeat(bytes / (part.len() + 1))
    )
}

/// Returns bodies of the maximum length of their routes, with the most expensive contents.
fn worst() -> Vec<(&'static str, String)> {
    let long = 8_000_000;
    let usual = 500_000;
    let of_order = |metadata: String| format!("{{\"metadata\":{metadata}}}");
    vec![
        (SYNC, format!("{{\"series\":{}}}", many("{}", long))),
        (
            SYNC,
            format!("{{\"series\":[{{\"instances\":{}}}]}}", many("{}", long)),
        ),
        (SYNC, many("[]", long)),
        (SYNC, format!("{{\"{}\":0}}", "k".repeat(long))),
        (
            ORDERS,
            of_order(format!("{{\"a\":{}}}", many("{\"\":0}", usual))),
        ),
        (ORDERS, of_order("{\"\":".repeat(usual / 5))),
        (
            ORDERS,
            of_order(format!("{{{}\"\":0}}", "\"\":0,".repeat(usual / 6))),
        ),
        (
            "/imaging-ai/outputs",
            format!("{{\"payload\":{{\"boxes\":{}}}}}", many("{}", usual)),
        ),
        (
            "/radiology/templates",
            format!("{{\"schema\":{{\"enum\":{}}}}}", many("0", usual)),
        ),
    ]
}

async fn the_worst_bodies_leave_the_server_as_it_was(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let one_round = || async {
        for (path, body) in worst() {
            let body = body.into_bytes();
            let refused = house.client.send(Method::POST, path, body).await?;
            assert!((400..500).contains(&refused.status), "{path}: {refused:?}");
        }
        anyhow::Ok(())
    };
    one_round().await?;
    let before = house.server.resident_bytes()?;
    let at = log_head(&house.client).await?;
    for _ in 0..3 {
        try_join_all((0..CLIENTS).map(|_| one_round())).await?;
    }
    let grown = house.server.resident_bytes()?.saturating_sub(before);
    assert!(grown < GROWN, "{grown} bytes more than before");
    assert_eq!(
        log_head(&house.client).await?,
        at,
        "nothing is in the log of it"
    );
    assert_eq!(house.client.post(ORDERS, &house.order()).await?.status, 201);
    Ok(())
}

async fn a_list_past_its_bound_is_refused_where_it_stands(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let synced = |count, instances| {
        study(json!({ "series": series("1.2.3", count, instances) }))
            .to_string()
            .into_bytes()
    };
    let places = json!({ "reading_locations": vec![""; 1_001] }).to_string();
    let flags = json!({ "ai_triage_flags": { "flags": vec![""; 101] } }).to_string();
    let item = format!("/radiology/worklist/items/{}", fresh());
    let refused = vec![
        RejectedRequest::post(SYNC, synced(501, 0), ProblemCode::Unacceptable).at(&["/series"]),
        RejectedRequest::post(SYNC, synced(1, 5_001), ProblemCode::Unacceptable)
            .at(&["/series/0/instances"]),
        RejectedRequest::post(
            "/radiology/reading-profiles",
            places,
            ProblemCode::Unacceptable,
        )
        .at(&["/reading_locations"]),
        RejectedRequest::patch(&item, flags, ProblemCode::Unacceptable)
            .at(&["/ai_triage_flags/flags"]),
    ];
    assert_all_rejected(&house.client, refused).await?;
    for (count, instances) in [(500, 0), (1, 5_000)] {
        let taken = house
            .client
            .send(Method::POST, SYNC, synced(count, instances))
            .await?;
        assert_eq!(taken.status, 201, "{taken:?}");
    }
    Ok(())
}

/// Numbers that no double represents, and notations that no serializer prints.
const DIGITS: &str =
    r#"{"a":123456789012345678901234567890,"b":1.50,"c":[0.1234567890123456789012345,-0,1E+2]}"#;

fn has_digits(answer: &TestResponse) {
    assert!((200..300).contains(&answer.status), "{answer:?}");
    assert!(answer.text.contains(DIGITS), "{}", answer.text);
}

async fn a_clients_own_json_keeps_every_digit(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let order = with(house.order(), json!({ "metadata": "DIGITS" }));
    let order = order.to_string().replace("\"DIGITS\"", DIGITS);
    let created = house
        .client
        .send(Method::POST, ORDERS, order.into_bytes())
        .await?;
    has_digits(&created);
    let place = created.header("location");
    let position = created.number("log-position");
    for path in [
        place.clone(),
        format!("{ORDERS}?limit=1"),
        format!("{place}?as_of={position}"),
        format!("/events?after={}&phi=true", position - 1),
    ] {
        has_digits(&house.client.get(&path).await?);
    }
    let same = format!("{{\"metadata\":{}}}", DIGITS.replace(',', " , "));
    let unchanged = house
        .client
        .send(Method::PATCH, &place, same.into_bytes())
        .await?;
    has_digits(&unchanged);
    assert_eq!(unchanged.json()["version"], 1, "it is the same object");
    Ok(())
}

async fn a_clients_own_json_that_cannot_be_kept_is_refused_where_it_stands(
    engine: EngineKind,
) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let order = house.order().to_string();
    let order = order.trim_end_matches('}');
    let deep = format!("{}0{}", "{\"a\":".repeat(121), "}".repeat(121));
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(64 * 1024));
    let post = |metadata: &str| {
        let body = format!("{order},\"metadata\":{metadata}}}");
        RejectedRequest::post(ORDERS, body, ProblemCode::Unacceptable).at(&["/metadata"])
    };
    let refused = [
        "{\"a\":1e400}",
        "{\"a\":\"\\u0000\"}",
        "{\"\\ud800\":1}",
        &deep,
        &long,
    ];
    assert_all_rejected(&house.client, refused.into_iter().map(post).collect()).await?;
    let output = format!(
        "{{\"imaging_ai_task_id\":\"{}\",\"output_type\":\"bbox\",\"payload\":{{\"boxes\":{}}}}}",
        fresh(),
        many("{}", 30_000)
    );
    let refused = house
        .client
        .send(Method::POST, "/imaging-ai/outputs", output.into_bytes())
        .await?;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.json()["errors"].as_array().map(Vec::len), Some(100));
    Ok(())
}
