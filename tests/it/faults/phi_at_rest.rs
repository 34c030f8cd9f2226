//! Canaries in every PHI member, in accepted and in rejected requests: none of them is in any file of the database, in
//! any crate's log output, in the metrics, or in the response to a rejected request.

mod canaries;
mod rejected_workflow_requests;
mod workflow;

use anyhow::{Result, ensure};
use roentgen_tests::{EngineKind, Server, TestClient, TestDatabase, TestResponse};
use serde_json::json;

use crate::leak_scan::{assert_absent, assert_present, dump_storage};
use crate::read_model_audit::assert_match_log;
use crate::test_app::{create_catalog, fresh, on_both_engines};
use canaries::{OPEN, PLANTED, REFUSED, Refused};

on_both_engines!(canaries_appear_nowhere);

async fn canaries_appear_nowhere(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let server = Server::spawn(&database, |command| {
        command.env("ROENTGEN_LOG", "trace").arg("--dev");
    });
    let server = server.await?;
    let client = TestClient::dev(&server.base, fresh());
    let order = accepted(&client).await?;
    refused(&client, &order).await?;
    read(&client, &order).await?;
    assert_match_log(&database).await?;
    let metrics = client.get("/metrics").await?;
    ensure!(
        metrics.text.contains("roentgen_requests_total"),
        "{metrics:?}"
    );
    assert_absent(PLANTED, "the metrics", metrics.text.as_bytes())?;

    scan_database(&database)?;
    let log = server.log.clone();
    server.terminate()?;
    scan_database(&database)?;
    let logged = std::fs::read(&log)?;
    let text = String::from_utf8_lossy(&logged);
    ensure!(
        text.contains("\"event\":\"http.response\""),
        "little is logged"
    );
    assert_absent(PLANTED, "the server's log", &logged)
}

/// Creates an order with PHI in every member, updates and cancels it, and returns its path.
async fn accepted(client: &TestClient) -> Result<String> {
    let procedure = create_catalog(client).await?;
    let [
        indication,
        mrn,
        family,
        given,
        birth,
        key,
        value,
        later,
        reason,
        ..,
    ] = PLANTED;
    let procedure_name = json!({ "name": OPEN });
    let renamed = format!("/imaging/procedures/{procedure}");
    let renamed = client.patch(&renamed, &procedure_name).await?;
    ensure!(renamed.status == 200, "{renamed:?}");
    let order = json!({
        "patient_id": fresh(), "imaging_procedure_id": procedure, "indication": indication,
        "patient": { "mrn": mrn, "family_name": family, "given_name": given,
                     "birth_date": birth, "sex": "female" },
        "metadata": { (*key): { "deep": [*value] } },
    });
    let created = client.with("idempotency-key", "accepted");
    let created = created.post("/imaging/orders", &order).await?;
    ensure!(created.status == 201, "{created:?}");
    let place = created.header("location");
    let detailed = json!({ "status": "scheduled", "metadata": { "note": later } });
    let cancelled = json!({ "status": "cancelled", "cancellation_reason": reason });
    for change in [detailed, cancelled] {
        let changed = client.patch(&place, &change).await?;
        ensure!(changed.status == 200, "{changed:?}");
        // Rejected because of the state, or repeated: the request was parsed in both cases.
        client
            .with("if-match", "\"1\"")
            .patch(&place, &change)
            .await?;
        client.patch(&place, &change).await?;
    }
    let repeated = client.with("idempotency-key", "accepted");
    let repeated = repeated.post("/imaging/orders", &order).await?;
    ensure!(repeated.text == created.text, "{repeated:?}");
    Ok(place)
}

async fn refused(client: &TestClient, order: &str) -> Result<()> {
    let known = client.get(order).await?;
    let quoted = |pointer| format!("\"{}\"", known.text_at(pointer));
    for Refused { at, body } in REFUSED {
        let body = body
            .replace("PATIENT", &quoted("/patient_id"))
            .replace("PROCEDURE", &quoted("/imaging_procedure_id"))
            .replace("LONG", &"x".repeat(65_000));
        let (method, path) = match *at {
            "" => (reqwest::Method::PATCH, order),
            path => (reqwest::Method::POST, path),
        };
        let answer = client.send(method, path, body.clone().into_bytes()).await?;
        ensure!((400..500).contains(&answer.status), "{body}: {answer:?}");
        assert_absent(PLANTED, "an error's answer", answer.text.as_bytes())?;
    }
    let [.., bad] = PLANTED;
    for path in [
        format!("/imaging/orders?patient_id={bad}"),
        format!("/imaging/orders?cursor={bad}"),
        format!("/imaging/orders?status={bad}&limit=5"),
        format!("/imaging/orders/{bad}"),
        format!("/events?after={bad}"),
        format!("/{bad}"),
    ] {
        told_nothing(&client.get(&path).await?)?;
    }
    for header in ["if-match", "idempotency-key", "min-log-position"] {
        let client = client.with(header, bad);
        told_nothing(
            &client
                .patch(order, &json!({ "status": "requested" }))
                .await?,
        )?;
    }
    let correlated = client.with("x-correlation-id", bad).get(order).await?;
    let headers = format!("{:?}", correlated.headers);
    assert_absent(PLANTED, "an answer's headers", headers.as_bytes())
}

fn told_nothing(answer: &TestResponse) -> Result<()> {
    ensure!((400..500).contains(&answer.status), "{answer:?}");
    assert_absent(PLANTED, "an error's answer", answer.text.as_bytes())
}

async fn read(client: &TestClient, order: &str) -> Result<()> {
    for (path, shown) in [
        (order, true),
        ("/imaging/orders", true),
        ("/events?phi=true", true),
        ("/events", false),
    ] {
        let answer = client.get(path).await?;
        let found = assert_absent(PLANTED, path, answer.text.as_bytes()).is_err();
        ensure!(answer.status == 200 && found == shown, "{answer:?}");
    }
    let at_first = client.get(&format!("{order}?as_of=3")).await?;
    ensure!(matches!(at_first.status, 200 | 404), "{at_first:?}");
    Ok(())
}

/// Scans the stored data for canaries. An unencrypted text shows that the scan finds what is there.
fn scan_database(database: &TestDatabase) -> Result<()> {
    let stored = dump_storage(database)?;
    assert_present(&[OPEN], "the database", &stored)?;
    assert_absent(PLANTED, "the database", &stored)?;
    assert_absent(
        &["\"family_name\"", "\"cancellation_reason\""],
        "the database",
        &stored,
    )
}
