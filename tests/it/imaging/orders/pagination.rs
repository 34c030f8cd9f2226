//! Pages of a list.

use anyhow::Result;
use futures_util::future::try_join_all;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::json;

use crate::assertions::{RejectedRequest, assert_all_rejected};
use crate::test_app::{TestApp, create_catalog, fresh, on_both_engines};

on_both_engines!(
    hands_out_every_row_once_and_in_order,
    goes_on_where_it_was_while_orders_come,
    rejects_cursors_of_other_lists,
);

const ROWS: usize = 121;

async fn hands_out_every_row_once_and_in_order(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let patient = fresh();
    let orders = (0..ROWS).map(|n| {
        let day = n / 7 % 28 + 1;
        let patient = if n % 3 == 0 { patient } else { fresh() };
        let at = format!("2026-02-{day:02}T08:00:00Z");
        let priority = ["routine", "urgent", "stat"][n % 3];
        house.create_order(
            json!({ "requested_at": at, "patient_id": patient, "priority": priority }),
        )
    });
    try_join_all(orders).await?;
    let whole = house.client.get("/imaging/orders?limit=500").await?;
    assert_eq!(whole.ids().len(), ROWS);
    assert_eq!(whole.next_page(), None);
    let days: Vec<String> = rows(&whole)
        .iter()
        .map(|row| row["requested_at"].to_string())
        .collect();
    assert!(days.is_sorted_by(|a, b| a >= b), "{days:?}");
    for limit in [1, 2, 50, 120, 121] {
        let first = format!("/imaging/orders?limit={limit}");
        assert_eq!(
            walk(&house.client, &first, limit).await?,
            whole.ids(),
            "limit {limit}"
        );
    }
    assert_eq!(
        walk(&house.client, "/imaging/orders", 50).await?,
        whole.ids()
    );
    for filter in [
        format!("patient_id={patient}"),
        "priority=stat".to_owned(),
        "status=requested".to_owned(),
        "from_date=2026-02-03&to_date=2026-02-09".to_owned(),
    ] {
        let whole = house
            .client
            .get(&format!("/imaging/orders?limit=500&{filter}"))
            .await?;
        let first = format!("/imaging/orders?{filter}&limit=7");
        assert_eq!(
            walk(&house.client, &first, 7).await?,
            whole.ids(),
            "{filter}"
        );
        assert!(!whole.ids().is_empty(), "{filter}");
    }
    Ok(())
}

async fn goes_on_where_it_was_while_orders_come(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for _ in 0..4 {
        house.create_order(json!({})).await?;
    }
    let before = house.client.get("/imaging/orders").await?.ids();
    let mut page = house.client.get("/imaging/orders?limit=1").await?;
    let mut seen = page.ids();
    while let Some(next) = page.next_page() {
        house.create_order(json!({})).await?;
        page = house.client.get(&next).await?;
        seen.extend(page.ids());
    }
    assert_eq!(seen, before);
    Ok(())
}

async fn rejects_cursors_of_other_lists(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let other = TestClient::dev(&house.server.base, fresh());
    create_catalog(&other).await?;
    for _ in 0..2 {
        house.create_order(json!({})).await?;
    }
    let first = house.client.get("/imaging/orders?limit=1").await?;
    let next = first.next_page().unwrap_or_default();
    let cursor = next.split("cursor=").nth(1).unwrap_or_default().to_owned();
    assert!(!cursor.is_empty(), "{first:?}");
    let altered: String = cursor.chars().rev().collect();
    let of = |list: &str, cursor: &str| format!("/imaging/{list}?cursor={cursor}");
    let paths = [
        of("orders", "AAAA"),
        of("orders", ""),
        of("orders", "%00"),
        of("orders", &altered),
        of("orders", &cursor[1..]),
        of("orders", &format!("{cursor}AAAA")),
        of("procedures", &cursor),
        of("modalities", &cursor),
        format!("{}&cursor={cursor}", of("orders", &cursor)),
    ];
    let refused = paths
        .iter()
        .map(|path| RejectedRequest::get(path, ProblemCode::InvalidParameter).at(&["?cursor"]));
    assert_all_rejected(&house.client, refused.collect()).await?;
    assert_all_rejected(
        &other,
        vec![RejectedRequest::get(&next, ProblemCode::InvalidParameter)],
    )
    .await?;
    assert_eq!(house.client.get(&next).await?.ids().len(), 1);
    Ok(())
}

/// Returns the ids on all pages, and checks that every page but the last is full.
async fn walk(client: &TestClient, first: &str, limit: usize) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut next = Some(first.to_owned());
    while let Some(path) = next {
        let page = client.get(&path).await?;
        assert_eq!(page.status, 200, "{path}: {page:?}");
        next = page.next_page();
        assert!(next.is_none() || page.ids().len() == limit, "{path}");
        assert!(page.ids().len() <= limit, "{path}");
        ids.extend(page.ids());
    }
    Ok(ids)
}

fn rows(list: &roentgen_tests::TestResponse) -> Vec<serde_json::Value> {
    list.json().as_array().cloned().unwrap_or_default()
}
