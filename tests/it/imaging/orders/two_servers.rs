//! Two processes on one database.

use anyhow::Result;
use futures_util::future::try_join_all;
use reqwest::Method;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, Server, TestClient};
use serde_json::{Value, json};

use crate::assertions::{assert_problem, log_head};
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    changes_from_both_are_one_legal_sequence,
    what_one_wrote_is_read_on_the_other,
    what_one_changed_is_known_to_the_other,
    a_patient_whom_the_other_knows_keeps_one_key,
    a_key_has_one_effect_on_both,
    what_one_repeats_or_confirms_is_read_there_at_once,
    what_was_acknowledged_is_read_after_a_kill,
);

const STEPS: [&str; 5] = [
    "requested",
    "scheduled",
    "in_progress",
    "completed",
    "cancelled",
];

async fn changes_from_both_are_one_legal_sequence(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let neighbour = house.second_server().await?;
    let here = house.client.repeating();
    let clients = [here.clone(), here.with_base_url(&neighbour.base)];
    let place = house.create_order_in_status("requested").await?;
    let steps = ["scheduled", "in_progress", "completed", "cancelled"];
    let changes = (0..24).map(|n| {
        let client = &clients[n % 2];
        let place = &place;
        let change = match n % 3 {
            0 => json!({ "metadata": { "n": n } }),
            _ => json!({ "status": steps[n / 2 % 4] }),
        };
        async move { client.patch(place, &change).await }
    });
    let answers = try_join_all(changes).await?;
    let accepted = answers
        .iter()
        .filter(|response| response.status == 200)
        .count();
    assert!(
        answers
            .iter()
            .all(|response| response.status == 200 || response.status == 409),
        "{answers:?}"
    );
    assert!(accepted > 0, "{answers:?}");
    let events = house
        .client
        .get(&format!("/events?stream_id={}", id_in(&place)))
        .await?
        .lines();
    let versions: Vec<u64> = events
        .iter()
        .filter_map(|event| event["version"].as_u64())
        .collect();
    assert_eq!(versions, (1..=events.len() as u64).collect::<Vec<_>>());
    let taken: Vec<&str> = events.iter().filter_map(status_of).collect();
    let ranks: Vec<usize> = taken
        .iter()
        .filter_map(|text| STEPS.iter().position(|step| step == text))
        .collect();
    assert!(ranks.is_sorted_by(|a, b| a < b), "{taken:?}");
    assert!(
        !(taken.contains(&"completed") && taken.contains(&"cancelled")),
        "{taken:?}"
    );
    let read = house.client.get(&place).await?;
    assert_eq!(read.json()["version"], events.len());
    assert_eq!(Some(&read.text_at("/status").as_str()), taken.last());
    Ok(())
}

async fn what_one_wrote_is_read_on_the_other(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let neighbour = house.second_server().await?;
    let ours = [
        house.client.clone(),
        house.client.with_base_url(&neighbour.base),
    ];
    for n in 0..10 {
        let here = &ours[n % 2];
        let there = &ours[(n + 1) % 2];
        let created = here.post("/imaging/orders", &house.order()).await?;
        assert_eq!(created.status, 201, "{created:?}");
        let there = there.with("min-log-position", &created.header("log-position"));
        let read = there.get(&created.header("location")).await?;
        assert_eq!((read.status, &read.text), (200, &created.text), "{read:?}");
        let listed = there.get("/imaging/orders?limit=1").await?;
        assert_eq!(listed.json(), json!([created.json()]), "{listed:?}");
        let number = created.text_at("/accession_number");
        let again = house.order_with(json!({ "accession_number": number }));
        assert_eq!(
            there.post("/imaging/orders", &again).await?.code(),
            "already_exists"
        );
    }
    Ok(())
}

/// While new patients arrive, a node assumes that an unknown patient is new.
async fn a_patient_whom_the_other_knows_keeps_one_key(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let neighbour = house.second_server().await?;
    let here = &house.client;
    let there = house.client.with_base_url(&neighbour.base);
    let known = house.order();
    let first = here.post("/imaging/orders", &known).await?;
    let newcomer = house.order_with(json!({ "patient_id": fresh() }));
    assert_eq!(there.post("/imaging/orders", &newcomer).await?.status, 201);
    let second = there.post("/imaging/orders", &known).await?;
    assert_eq!(second.status, 201, "{second:?}");
    for order in [first, second] {
        let read = there.get(&order.header("location")).await?;
        assert_eq!(read.text_at("/phi"), "open", "{read:?}");
        assert_eq!(read.json()["indication"], known["indication"], "{read:?}");
    }
    Ok(())
}

/// Each node caches states; neither may decide on a state that the other has changed.
async fn what_one_changed_is_known_to_the_other(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let neighbour = house.second_server().await?;
    let here = &house.client;
    let there = house.client.with_base_url(&neighbour.base);
    let procedure = format!("/imaging/procedures/{}", house.procedure);
    for _ in 0..5 {
        let created = there.post("/imaging/orders", &house.order()).await?;
        assert_eq!(created.status, 201, "{created:?}");
        let place = created.header("location");
        let completed = here
            .patch(&place, &json!({ "status": "completed" }))
            .await?;
        assert_eq!(completed.status, 200, "{completed:?}");
        let late = there
            .patch(&place, &json!({ "status": "cancelled" }))
            .await?;
        assert_problem(&late, ProblemCode::TransitionRefused, "decided on what is");
        let same = there
            .patch(&place, &json!({ "status": "completed" }))
            .await?;
        assert_eq!(
            (same.status, &same.text),
            (200, &completed.text),
            "{same:?}"
        );

        here.patch(&procedure, &json!({ "is_active": false }))
            .await?;
        let retired = there.post("/imaging/orders", &house.order()).await?;
        assert_problem(&retired, ProblemCode::Inactive, "retired elsewhere");
        here.patch(&procedure, &json!({ "is_active": true }))
            .await?;
    }
    Ok(())
}

async fn a_key_has_one_effect_on_both(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let neighbour = house.second_server().await?;
    let before = log_head(&house.client).await?;
    let here = house.client.repeating().with("idempotency-key", "the one");
    let clients: [TestClient; 2] = [here.clone(), here.with_base_url(&neighbour.base)];
    let body = house.order().to_string();
    let repeats = (0..50).map(|n| {
        let client = &clients[n % 2];
        let body = body.clone().into_bytes();
        async move { client.send(Method::POST, "/imaging/orders", body).await }
    });
    let answers = try_join_all(repeats).await?;
    for answer in &answers {
        assert_eq!(
            (answer.status, &answer.text),
            (201, &answers[0].text),
            "{answer:?}"
        );
        for header in ["location", "etag"] {
            assert_eq!(answer.header(header), answers[0].header(header));
        }
        assert!(answer.number("log-position") > before);
    }
    assert_eq!(house.client.get("/imaging/orders").await?.ids().len(), 1);
    assert_eq!(log_head(&house.client).await?, before + 1);
    Ok(())
}

fn id_in(place: &str) -> &str {
    place.rsplit('/').next().unwrap_or_default()
}

/// Returns the status that an event leads to.
fn status_of(event: &Value) -> Option<&'static str> {
    match event["type"].as_str()? {
        "ImagingOrder.Created" => Some("requested"),
        "ImagingOrder.Scheduled" => Some("scheduled"),
        "ImagingOrder.InProgress" => Some("in_progress"),
        "ImagingOrder.Completed" => Some("completed"),
        "ImagingOrder.Cancelled" => Some("cancelled"),
        _ => None,
    }
}

/// A node that returns the outcome of another node's command guarantees read-your-writes as for a command it executed.
/// The leader is killed, so that no node projects during the test.
async fn what_one_repeats_or_confirms_is_read_there_at_once(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let one = house.second_server().await?;
    let other = house.second_server().await?;
    let body = house.order();
    house.server.kill()?;
    let here = house.client.with_base_url(&one.base);
    let there = house.client.with_base_url(&other.base);
    let keyed = |client: &TestClient| client.with("idempotency-key", "k");

    let created = keyed(&here).post("/imaging/orders", &body).await?;
    let repeated = keyed(&there).post("/imaging/orders", &body).await?;
    assert_eq!((repeated.status, &repeated.text), (201, &created.text));
    let place = repeated.header("location");
    let read = there.get(&place).await?;
    assert_eq!((read.status, &read.text), (200, &created.text));

    let scheduled = json!({ "status": "scheduled" });
    let moved = here.patch(&place, &scheduled).await?;
    let confirmed = there.patch(&place, &scheduled).await?;
    assert_eq!((confirmed.status, &confirmed.text), (200, &moved.text));
    let read = there.get(&place).await?;
    assert_eq!((read.status, &read.text), (200, &moved.text));
    Ok(())
}

/// The lease of the killed server is still valid: no node projects yet, and everything that was acknowledged must be
/// readable.
async fn what_was_acknowledged_is_read_after_a_kill(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let place = house.create_order_in_status("requested").await?;
    let moved = house
        .client
        .patch(&place, &json!({ "status": "scheduled" }))
        .await?;
    house.server.kill()?;
    let server = Server::start(&house.database, &[]).await?;
    let read = house.client.with_base_url(&server.base).get(&place).await?;
    assert_eq!((read.status, &read.text), (200, &moved.text));
    Ok(())
}
