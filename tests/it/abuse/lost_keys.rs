//! A patient key that was deleted without a tombstone: PHI is unreadable and not erased, an error is reported, the
//! server is not ready, and nothing is sealed under a second key.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{DbFile, EngineKind, RawDatabase, TestClient, TestResponse, poll};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::assertions::{assert_problem, log_head};
use crate::faults::erasure::whose;
use crate::faults::run;
use crate::read_model_audit::assert_match_log;
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    lost_key_is_unreadable_until_it_is_back,
    mixed_row_with_a_lost_key_is_unreadable,
    all_keys_lost_is_refused_at_start,
);

/// Upper limit of the time after which a deleted key is noticed: a cached key outlives its row by up to 5 s, and a
/// state opened with it by another 5 s.
const UNTIL_NOTICED: Duration = Duration::from_secs(30);

async fn order(house: &TestApp, patient: Uuid) -> Result<String> {
    let order = json!({
        "patient_id": patient, "imaging_procedure_id": house.procedure, "indication": "headache",
    });
    let created = house.setup().post("/imaging/orders", &order).await?;
    ensure!(created.status == 201, "{created:?}");
    Ok(format!("/imaging/orders/{}", created.text_at("/id")))
}

/// Deletes a patient's key without a tombstone, and stores a copy.
async fn lose(house: &TestApp, patient: Uuid) -> Result<RawDatabase> {
    let mut keys = RawDatabase::on(&house.database, DbFile::Keys).await?;
    keys.unguard_keys().await?;
    let whose = whose(&keys, house, patient);
    keys.run(&format!(
        "CREATE TABLE kept_aside AS SELECT * FROM patient_keys WHERE {whose}"
    ))
    .await?;
    let lost = keys
        .run(&format!("DELETE FROM patient_keys WHERE {whose}"))
        .await?;
    ensure!(lost == 1, "{lost}");
    Ok(keys)
}

async fn bring_back(keys: &mut RawDatabase) -> Result<()> {
    keys.run("DELETE FROM patient_keys WHERE (tenant, patient) IN (SELECT tenant, patient FROM kept_aside)")
        .await?;
    keys.run("INSERT INTO patient_keys SELECT * FROM kept_aside")
        .await?;
    Ok(())
}

async fn reads(client: &TestClient, place: &str, phi: &str) -> Result<TestResponse> {
    let read = async || client.get(place).await;
    let is_so = |answer: &Result<TestResponse>| {
        answer
            .as_ref()
            .is_ok_and(|response| response.text_at("/phi") == phi)
    };
    let read = poll::wait_until(phi, UNTIL_NOTICED, read, is_so).await??;
    ensure!(read.status == 200, "{read:?}");
    Ok(read)
}

async fn in_list(client: &TestClient, place: &str) -> Result<Value> {
    let id = place.rsplit('/').next().context("no id")?;
    let list = client.get("/imaging/orders").await?;
    ensure!(list.status == 200, "{list:?}");
    let rows = list.json().as_array().cloned().unwrap_or_default();
    let row = rows.into_iter().find(|row| row["id"] == id);
    row.context("not in the list")
}

async fn lost_key_is_unreadable_until_it_is_back(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let patient = fresh();
    let other = fresh();
    let lost = order(&house, patient).await?;
    let untouched = order(&house, other).await?;
    assert_match_log(&house.database).await?;
    let mut keys = lose(&house, patient).await?;
    let client = &house.client;

    let read = reads(client, &lost, "unreadable").await?;
    ensure!(read.json().get("indication").is_none(), "{read:?}");
    let past = client
        .get(&format!("{lost}?as_of={}", read.header("log-position")))
        .await?;
    ensure!(
        (past.status, past.text_at("/phi").as_str()) == (200, "unreadable"),
        "{past:?}"
    );
    ensure!(in_list(client, &lost).await?["phi"] == "unreadable");
    ensure!(in_list(client, &untouched).await?["phi"] == "open");
    let feed = client
        .get("/events?phi=true&types=ImagingOrder.Created")
        .await?;
    let told: Vec<_> = feed
        .lines()
        .iter()
        .map(|event| event["phi"].clone())
        .collect();
    ensure!(told == ["unreadable", "open"], "{feed:?}");

    nothing_is_written(&house, &lost, patient).await?;
    is_told(&house).await?;

    bring_back(&mut keys).await?;
    reads(client, &lost, "open").await?;
    let ready = async || client.get("/health/ready").await;
    let is_ready = |answer: &Result<TestResponse>| {
        answer.as_ref().is_ok_and(|response| response.status == 200)
    };
    poll::wait_until("readiness", UNTIL_NOTICED, ready, is_ready).await??;
    let changed = client
        .patch(&lost, &json!({ "metadata": { "ward": "8" } }))
        .await?;
    ensure!(changed.text_at("/phi") == "open", "{changed:?}");
    let verified = run(&house.database, &["verify"])?;
    ensure!(verified.code == Some(0), "{}", verified.printed);
    Ok(())
}

/// Checks that neither an existing resource nor a new one of the patient can be written, and that no key is created.
async fn nothing_is_written(house: &TestApp, lost: &str, patient: Uuid) -> Result<()> {
    let client = &house.client;
    // A state that was opened before the key was deleted is cached for a while.
    let changed = async || {
        client
            .patch(lost, &json!({ "metadata": { "ward": "9" } }))
            .await
    };
    let is_refused = |answer: &Result<TestResponse>| {
        answer.as_ref().is_ok_and(|response| response.status == 503)
    };
    poll::wait_until("the refusal", UNTIL_NOTICED, changed, is_refused).await??;
    let before = log_head(client).await?;
    let new = json!({
        "patient_id": patient, "imaging_procedure_id": house.procedure, "indication": "again",
    });
    let refused = client.post("/imaging/orders", &new).await?;
    assert_problem(&refused, ProblemCode::KeysMissing, "a new order");
    ensure!(!refused.header("retry-after").is_empty(), "{refused:?}");
    let refused = client
        .patch(lost, &json!({ "status": "scheduled" }))
        .await?;
    assert_problem(&refused, ProblemCode::KeysMissing, "a move");
    ensure!(log_head(client).await? == before);

    // After a command for a new patient, the node assumes that the next patient without a key is new as well.
    order(house, fresh()).await?;
    let refused = client.post("/imaging/orders", &new).await?;
    assert_problem(&refused, ProblemCode::KeysMissing, "a guessed newcomer");
    let mut log = RawDatabase::on(&house.database, DbFile::Log).await?;
    let whose = whose(&log, house, patient);
    let listed = format!("SELECT count(*) FROM key_register WHERE {whose}");
    ensure!(
        log.number(&listed).await? == 1,
        "a second key was sealed under"
    );
    Ok(())
}

async fn is_told(house: &TestApp) -> Result<()> {
    let client = &house.client;
    let ready = client.get("/health/ready").await?;
    assert_problem(&ready, ProblemCode::KeysMissing, "readiness");
    let metrics = client.get("/metrics").await?.text;
    ensure!(metrics.contains("roentgen_missing_keys 1"), "{metrics}");
    let logged = house.server.logged()?;
    let told = logged
        .matches("patient key is missing and has no tombstone")
        .count();
    ensure!(told == 1, "once a key, not {told} times");
    let verified = run(&house.database, &["verify"])?;
    ensure!(verified.code == Some(1), "{}", verified.printed);
    for said in [
        "the keys are older than the log",
        ", is neither there nor has a tombstone",
        "keys missing or corrupt: 1",
    ] {
        ensure!(verified.printed.contains(said), "{}", verified.printed);
    }
    Ok(())
}

/// One part is sealed under the lost key and one under an existing key.
async fn mixed_row_with_a_lost_key_is_unreadable(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let patient = fresh();
    let place = order(&house, patient).await?;
    crate::faults::erasure::destroy_key(&house, patient).await?;
    reads(&house.client, &place, "erased").await?;
    let client = &house.client;
    let place = place.as_str();
    let moved_to = async |ward: &str| {
        let metadata = json!({ "metadata": { "ward": ward } });
        client.patch(place, &metadata).await
    };
    let is_erased = |answer: &Result<TestResponse>| {
        answer
            .as_ref()
            .is_ok_and(|response| response.text_at("/phi") == "erased")
    };
    // The first of these may be sealed with the deleted key, which commands cache for as long as reads do.
    let moved = || moved_to("1");
    poll::wait_until("the key is gone", UNTIL_NOTICED, moved, is_erased).await??;
    let sealed_by_another = moved_to("2").await;
    ensure!(is_erased(&sealed_by_another), "{sealed_by_another:?}");
    assert_match_log(&house.database).await?;
    lose(&house, patient).await?;
    reads(client, place, "unreadable").await?;
    ensure!(in_list(client, place).await?["phi"] == "unreadable");
    Ok(())
}

async fn all_keys_lost_is_refused_at_start(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    order(&house, fresh()).await?;
    let TestApp {
        server, database, ..
    } = house;
    server.terminate()?;
    let mut keys = RawDatabase::on(&database, DbFile::Keys).await?;
    keys.unguard_keys().await?;
    keys.run("DELETE FROM patient_keys").await?;
    drop(keys);
    let said = run(&database, &["serve", "--dev"])?;
    ensure!(said.code == Some(70), "{}", said.printed);
    ensure!(
        said.printed.contains("the keys are older than the log"),
        "{}",
        said.printed
    );
    Ok(())
}
