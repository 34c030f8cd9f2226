//! Commands retried with the same `Idempotency-Key`.

use anyhow::Result;
use futures_util::future::try_join_all;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::json;

use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::test_app::{TestApp, create_catalog, fresh, on_both_engines};

on_both_engines!(
    answers_with_the_first_result,
    refuses_another_body,
    is_independent_elsewhere,
    remembers_no_refusal,
    remembers_that_nothing_changed,
    takes_one_of_many_bodies_at_once,
);

const ORDERS: &str = "/imaging/orders";

fn keyed(client: &TestClient, key: &str) -> TestClient {
    client.with("idempotency-key", key)
}

async fn answers_with_the_first_result(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let client = keyed(&house.client, "k");
    let body = house.order_with(json!({ "metadata": { "a": 1 } }));
    let created = client.post(ORDERS, &body).await?;
    let place = created.header("location");
    let scheduled = json!({ "status": "scheduled" });
    let moved = client
        .with("if-match", "\"1\"")
        .patch(&place, &scheduled)
        .await?;
    assert_eq!((created.status, moved.status), (201, 200));
    house
        .client
        .patch(
            &place,
            &json!({ "status": "cancelled", "metadata": { "a": 2 } }),
        )
        .await?;
    let procedure = format!("/imaging/procedures/{}", house.procedure);
    house
        .client
        .patch(&procedure, &json!({ "is_active": false }))
        .await?;
    let before = log_head(&house.client).await?;
    for _ in 0..2 {
        for prefix in ["", "/api/v1"] {
            let again = client.post(&format!("{prefix}{ORDERS}"), &body).await?;
            assert_eq!((again.status, &again.text), (201, &created.text));
            assert_eq!(again.header("location"), place);
            assert_eq!(again.header("etag"), "\"1\"");
        }
        let again = client
            .with("if-match", "\"1\"")
            .patch(&place, &scheduled)
            .await?;
        assert_eq!((again.status, &again.text), (200, &moved.text), "{again:?}");
        assert_eq!(again.header("etag"), "\"2\"");
    }
    assert_eq!(log_head(&house.client).await?, before);
    Ok(())
}

async fn refuses_another_body(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let client = keyed(&house.client, "k");
    let created = client.post(ORDERS, &house.order()).await?;
    let place = created.header("location");
    client
        .patch(&place, &json!({ "status": "scheduled" }))
        .await?;
    let other = house.order();
    let number = created.text_at("/accession_number");
    let taken = house
        .order_with(json!({ "accession_number": number }))
        .to_string();
    let refused = vec![
        RejectedRequest::post(ORDERS, other.to_string(), ProblemCode::IdempotencyKeyReused),
        RejectedRequest::post(ORDERS, taken, ProblemCode::IdempotencyKeyReused),
        RejectedRequest::patch(
            &place,
            r#"{"status":"cancelled"}"#,
            ProblemCode::IdempotencyKeyReused,
        ),
        RejectedRequest::patch(
            &place,
            r#"{"status":"requested"}"#,
            ProblemCode::IdempotencyKeyReused,
        ),
    ];
    assert_all_rejected(&client, refused).await?;
    for key in ["", "\u{e9}", &"k".repeat(256)] {
        let refused = RejectedRequest::post(ORDERS, other.to_string(), ProblemCode::InvalidHeader);
        assert_all_rejected(&keyed(&house.client, key), vec![refused]).await?;
    }
    let longest = keyed(&house.client, &"k".repeat(255));
    assert_eq!(longest.post(ORDERS, &other).await?.status, 201);
    Ok(())
}

async fn is_independent_elsewhere(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let body = house.order();
    let elsewhere = TestClient::dev(&house.server.base, fresh());
    let procedure = create_catalog(&elsewhere).await?;
    let clinician = house.caller("clinician")?;
    let radiologist = house.caller("radiologist")?;
    let mut created = Vec::new();
    for caller in [&house.client, &clinician, &radiologist] {
        created.push(keyed(caller, "k").post(ORDERS, &body).await?);
    }
    let mut theirs = body.clone();
    theirs["imaging_procedure_id"] = json!(procedure);
    created.push(keyed(&elsewhere, "k").post(ORDERS, &theirs).await?);
    created.push(keyed(&house.client, "K").post(ORDERS, &body).await?);
    assert!(
        created.iter().all(|response| response.status == 201),
        "{created:?}"
    );
    let mut ids: Vec<String> = created
        .iter()
        .map(|response| response.text_at("/id"))
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), created.len());
    for order in &created[..2] {
        let scheduled = json!({ "status": "scheduled" });
        let moved = keyed(&house.client, "k")
            .patch(&order.header("location"), &scheduled)
            .await?;
        assert_eq!(
            (moved.status, moved.text_at("/id")),
            (200, order.text_at("/id"))
        );
    }
    let modality = json!({ "code": "MR", "name": "Magnetic resonance" });
    let modality = keyed(&house.client, "k")
        .post("/imaging/modalities", &modality)
        .await?;
    assert_eq!(modality.status, 201, "{modality:?}");
    Ok(())
}

async fn remembers_no_refusal(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let procedure = format!("/imaging/procedures/{}", house.procedure);
    house
        .client
        .patch(&procedure, &json!({ "is_active": false }))
        .await?;
    let client = keyed(&house.client, "k");
    let body = house.order();
    assert_eq!(client.post(ORDERS, &body).await?.code(), "inactive");
    house
        .client
        .patch(&procedure, &json!({ "is_active": true }))
        .await?;
    assert_eq!(client.post(ORDERS, &body).await?.status, 201);
    Ok(())
}

async fn remembers_that_nothing_changed(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let place = house.create_order_in_status("scheduled").await?;
    let client = keyed(&house.client, "k");
    let before = log_head(&house.client).await?;
    let same = json!({ "status": "scheduled" });
    let first = client.patch(&place, &same).await?;
    assert_eq!(
        (first.status, log_head(&house.client).await?),
        (200, before),
        "{first:?}"
    );
    house
        .client
        .patch(&place, &json!({ "status": "completed" }))
        .await?;
    let again = client.patch(&place, &same).await?;
    assert_eq!((again.status, &again.text), (200, &first.text), "{again:?}");
    assert_eq!(log_head(&house.client).await?, before + 1);
    Ok(())
}

async fn takes_one_of_many_bodies_at_once(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let client = keyed(&house.client, "k").repeating();
    let before = log_head(&house.client).await?;
    let bodies: Vec<_> = (0..20).map(|_| house.order()).collect();
    let answers = try_join_all(bodies.iter().map(|value| client.post(ORDERS, value))).await?;
    let created = answers
        .iter()
        .filter(|response| response.status == 201)
        .count();
    let refused = answers
        .iter()
        .filter(|response| response.code() == "idempotency_key_reused")
        .count();
    assert_eq!((created, refused), (1, 19), "{answers:?}");
    assert_eq!(log_head(&house.client).await?, before + 1);
    Ok(())
}
