//! `roentgen serve --services`: a part of the API, like the five services of the source system.

use std::time::Duration;

use anyhow::Result;
use roentgen_tests::{EngineKind, Server, TestClient, poll};
use serde_json::json;

use crate::test_app::{TestApp, fresh, on_both_engines, serve};

on_both_engines!(five_processes_are_the_source_s_five_services);

const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// Each service with a list that it serves.
const SERVICES: [(&str, &str); 5] = [
    ("orders", "/imaging/orders"),
    ("pacs", "/pacs/studies"),
    ("worklist", "/radiology/worklist/items"),
    ("reporting", "/radiology/reports"),
    ("ai", "/imaging-ai/tasks"),
];

/// Paths that every service serves.
const EVERYWHERE: [&str; 3] = ["/events", "/health/ready", "/metrics"];

async fn five_processes_are_the_source_s_five_services(engine: EngineKind) -> Result<()> {
    let house = TestApp::open_with(engine, &["--dev", "--services", "orders"]).await?;
    let mut others: Vec<Server> = Vec::new();
    for (service, _) in &SERVICES[1..] {
        others.push(serve(&house.database, &["--dev", "--services", service]).await?);
    }
    let mut clients = vec![house.client.clone()];
    clients.extend(
        others
            .iter()
            .map(|server| house.client.with_base_url(&server.base)),
    );
    for (served, client) in clients.iter().enumerate() {
        for (n, (_, list)) in SERVICES.iter().enumerate() {
            let status = client.get(list).await?.status;
            assert_eq!(status, if n == served { 200 } else { 404 }, "{list}");
        }
        for path in EVERYWHERE {
            assert_eq!(client.get(path).await?.status, 200, "{path}");
        }
        let timeline = format!("/patients/{}/timeline", fresh());
        assert_eq!(client.get(&timeline).await?.status, 200);
    }
    a_study_comes_to_the_worklist(&clients[1], &clients[2]).await
}

async fn a_study_comes_to_the_worklist(pacs: &TestClient, worklist: &TestClient) -> Result<()> {
    let archive = json!({ "code": "MAIN", "name": "Main archive", "protocol": "DICOMWEB" });
    assert_eq!(pacs.post("/pacs/endpoints", &archive).await?.status, 201);
    let study = json!({ "pacs_endpoint_code": "MAIN", "patient_id": fresh(), "modality_code": "CT",
        "study_instance_uid": format!("2.25.{}", fresh().as_u128()) });
    let study = pacs.post("/pacs/studies/sync", &study).await?;
    assert_eq!(study.status, 201, "{study:?}");
    let items = async || {
        let items = worklist.get("/radiology/worklist/items").await;
        items.map(|response| response.json()).unwrap_or_default()
    };
    let items = poll::wait_until("the item", WAIT_TIMEOUT, items, |value| {
        value[0].is_object()
    })
    .await?;
    assert_eq!(items[0]["imaging_study_id"], study.json()["id"]);
    Ok(())
}
