//! Rejections while others write: a rejection reflects the state and never a version conflict.

use anyhow::{Result, ensure};
use roentgen_tests::{EngineKind, TestClient};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(a_duplicate_is_a_duplicate_under_load);

const OTHERS: usize = 8;
const DUPLICATES: usize = 50;

async fn a_duplicate_is_a_duplicate_under_load(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let mut taken = house.order();
    if let Some(members) = taken.as_object_mut() {
        members.insert("accession_number".to_owned(), "TAKEN".into());
    }
    let first = house.client.post("/imaging/orders", &taken).await?;
    ensure!(first.status == 201, "{first:?}");
    let mut others = JoinSet::new();
    for _ in 0..OTHERS {
        others.spawn(create_on_and_on(house.client.clone(), house.order()));
    }
    for _ in 0..DUPLICATES {
        let again = house.client.post("/imaging/orders", &taken).await?;
        ensure!(again.code() == "already_exists", "{again:?}");
    }
    others.abort_all();
    while let Some(other) = others.join_next().await {
        ensure!(other.is_err(), "one of the others stopped: {other:?}");
    }
    let elsewhere = TestClient::dev(&house.server.base, fresh());
    let change = json!({ "status": "scheduled" });
    let unseen = elsewhere.patch(&first.header("location"), &change).await?;
    ensure!(unseen.code() == "not_found", "{unseen:?}");
    Ok(())
}

/// Creates orders until a request is rejected.
async fn create_on_and_on(client: TestClient, mut order: Value) -> Result<()> {
    loop {
        if let Some(members) = order.as_object_mut() {
            members.insert("patient_id".to_owned(), fresh().to_string().into());
        }
        let created = client.post("/imaging/orders", &order).await?;
        ensure!(created.status == 201, "{created:?}");
    }
}
