//! A patient key deleted on purpose, with its tombstone: PHI sealed under it reads as erased, everything else still
//! works.

mod workflow;

use std::time::Duration;

use anyhow::{Context as _, Result};
use roentgen_projections::all;
use roentgen_store::projection::ProjectionKind;
use roentgen_tests::{
    DbFile, EngineKind, RawDatabase, Server, TestClient, TestDatabase, TestResponse, poll,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::verify;
use crate::read_model_audit::assert_match_log;
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(erasing_a_patient_keeps_other_data);

/// Time limit of an erasure; a cached key outlives its row by up to 5 s.
const UNTIL_ERASED: Duration = Duration::from_secs(15);

const PHI: [&str; 4] = ["indication", "patient", "metadata", "cancellation_reason"];

async fn erasing_a_patient_keeps_other_data(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let patient = fresh();
    let other = fresh();
    let erased = order(&house, patient).await?;
    let untouched = order(&house, other).await?;
    destroy_key(&house, patient).await?;

    reads_erased(&house.client, &erased).await?;
    reads_open(&house.client, &untouched).await?;
    feed_says(&house.client, &erased, "erased").await?;
    feed_says(&house.client, &untouched, "open").await?;
    still_moves(&house.client, &erased).await?;

    let later = order(&house, patient).await?;
    reads_open(&house.client, &later).await?;
    let moved = house.client.patch(&place(&later), &metadata()).await?;
    assert_eq!(state(&moved), (200, "open".to_owned()), "{moved:?}");
    reads_erased(&house.client, &erased).await?;

    let rows = assert_match_log(&house.database).await?;
    let (database, client) = rebuilt(house, rows).await?;
    assert_eq!((assert_match_log(&database).await?, rows), (5, 5));
    reads_erased(&client.1, &erased).await?;
    reads_open(&client.1, &later).await?;
    verify(&database)
}

async fn order(house: &TestApp, patient: Uuid) -> Result<String> {
    let order = json!({
        "patient_id": patient, "imaging_procedure_id": house.procedure,
        "indication": "headache", "patient": { "mrn": "1" }, "metadata": { "ward": "7" },
    });
    let created = house.client.post("/imaging/orders", &order).await?;
    assert_eq!(state(&created), (201, "open".to_owned()), "{created:?}");
    Ok(created.text_at("/id"))
}

fn place(id: &str) -> String {
    format!("/imaging/orders/{id}")
}

fn metadata() -> Value {
    json!({ "metadata": { "ward": "8" } })
}

fn state(answer: &TestResponse) -> (u16, String) {
    (answer.status, answer.text_at("/phi"))
}

/// Erases a patient as the owner of the database: deletes the key and inserts its tombstone.
pub(crate) async fn destroy_key(house: &TestApp, patient: Uuid) -> Result<()> {
    let mut keys = RawDatabase::on(&house.database, DbFile::Keys).await?;
    let whose = whose(&keys, house, patient);
    let tombstone = format!(
        "INSERT INTO key_tombstones (key_id, tenant, patient, master_id, erased_at, erased_by) \
         SELECT key_id, tenant, patient, master_id, 1, 'operator:tests' FROM patient_keys WHERE {whose}"
    );
    assert_eq!(keys.run(&tombstone).await?, 1);
    let delete = format!("DELETE FROM patient_keys WHERE {whose}");
    assert_eq!(keys.run(&delete).await?, 1);
    Ok(())
}

/// Returns a condition for the key of a patient of the tenant.
pub(crate) fn whose(keys: &RawDatabase, house: &TestApp, patient: Uuid) -> String {
    let tenant = keys.id(house.tenant);
    let patient = keys.id(patient);
    format!("tenant = {tenant} AND patient = {patient}")
}

/// Waits until the resource reads as erased, alone and in the list; the caches have to expire.
async fn reads_erased(client: &TestClient, id: &str) -> Result<()> {
    let one = async || client.get(&place(id)).await.map(|response| response.json());
    let listed = async || in_list(client, id).await;
    let erased = |result: &Result<Value>| result.as_ref().is_ok_and(is_erased);
    poll::wait_until("erased by itself", UNTIL_ERASED, one, erased).await??;
    poll::wait_until("erased in the list", UNTIL_ERASED, listed, erased).await??;
    Ok(())
}

fn is_erased(order: &Value) -> bool {
    order.get("phi") == Some(&"erased".into()) && PHI.iter().all(|text| order.get(text).is_none())
}

async fn in_list(client: &TestClient, id: &str) -> Result<Value> {
    let list = client.get("/imaging/orders").await?.json();
    let orders = list.as_array().context("no list")?;
    let found = orders
        .iter()
        .find(|order| order.get("id") == Some(&id.into()));
    found.cloned().context("not in the list")
}

async fn reads_open(client: &TestClient, id: &str) -> Result<()> {
    let one = client.get(&place(id)).await?;
    assert_eq!(state(&one), (200, "open".to_owned()), "{one:?}");
    assert_eq!(one.text_at("/indication"), "headache");
    assert_eq!(in_list(client, id).await?, one.json());
    Ok(())
}

async fn feed_says(client: &TestClient, id: &str, phi: &str) -> Result<()> {
    let path = format!("/events?phi=true&types=ImagingOrder.Created&stream_id={id}");
    let fed = client.get(&path).await?;
    let event = fed.json();
    assert_eq!(fed.text_at("/phi"), phi, "{fed:?}");
    let told = event.pointer("/data/indication").is_some();
    assert_eq!(told, phi == "open", "{fed:?}");
    Ok(())
}

/// Checks that the responses to commands contain no PHI either, and that this remains after a new key was created.
async fn still_moves(client: &TestClient, id: &str) -> Result<()> {
    let scheduled = json!({ "status": "scheduled" });
    let moved = async || client.patch(&place(id), &scheduled).await;
    let erased = |result: &Result<TestResponse>| {
        result
            .as_ref()
            .is_ok_and(|response| is_erased(&response.json()))
    };
    let moved = poll::wait_until("the move's answer", UNTIL_ERASED, moved, erased).await??;
    assert_eq!(
        (moved.status, moved.text_at("/status").as_str()),
        (200, "scheduled")
    );
    let detailed = client.patch(&place(id), &metadata()).await?;
    assert_eq!(state(&detailed), (200, "erased".to_owned()), "{detailed:?}");
    let ended = json!({ "status": "cancelled", "cancellation_reason": "erased" });
    let ended = client.patch(&place(id), &ended).await?;
    assert_eq!(state(&ended), (200, "erased".to_owned()), "{ended:?}");
    reads_erased(client, id).await
}

/// Deletes all rows of the read models and rebuilds them in a new process.
async fn rebuilt(house: TestApp, rows: usize) -> Result<(TestDatabase, (Server, TestClient))> {
    let TestApp {
        server,
        client,
        database,
        ..
    } = house;
    server.terminate()?;
    let mut read = RawDatabase::on(&database, DbFile::Read).await?;
    let mut deleted = 0;
    for projection in all() {
        let table = projection.model().schema_name();
        deleted += read.run(&format!("DELETE FROM {table}")).await?;
        if let ProjectionKind::MultiRow(parts) = projection.kind() {
            let progress = parts.progress_table().schema_name();
            read.run(&format!("DELETE FROM {progress}")).await?;
        }
    }
    assert_eq!(usize::try_from(deleted)?, rows);
    assert!(read.run("DELETE FROM generations").await? > 0);
    assert!(read.run("DELETE FROM checkpoints").await? > 0);
    // The policy memory is as old as the policies' checkpoint and is deleted with it.
    read.run("DELETE FROM policy_memory").await?;
    let server = Server::start(&database, &[]).await?;
    let client = client.with_base_url(&server.base);
    Ok((database, (server, client)))
}
