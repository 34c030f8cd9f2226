//! `/patients/{id}/timeline`.

use std::time::Duration;

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient, TestResponse, poll};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::assertions::{RejectedRequest, assert_all_rejected};
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    shows_what_happened_newest_first,
    is_paged_over_all_kinds,
    hides_ai_from_whom_reads_released_content_only,
    refuses_what_it_does_not_know,
);

/// Time limit of a policy.
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);

fn timeline(patient: Uuid) -> String {
    format!("/patients/{patient}/timeline")
}

/// Returns a member of each entry, in the timeline's order.
fn each(page: &TestResponse, member: &str) -> Vec<String> {
    let lines = page.json();
    let lines = lines.as_array().into_iter().flatten();
    let text = |value: &Value| value[member].as_str().unwrap_or_default().to_owned();
    lines.map(text).collect()
}

/// Creates an order and its study, and waits for the triage task created by a policy.
async fn examined(house: &TestApp, patient: Uuid) -> Result<()> {
    let model = json!({ "code": "TRIAGE", "name": "Triage", "capabilities": { "triage": true } });
    house.client.post("/imaging-ai/models", &model).await?;
    let endpoint = json!({ "code": "MAIN", "name": "Main archive", "protocol": "DICOMWEB" });
    house.client.post("/pacs/endpoints", &endpoint).await?;
    let requested = json!({ "patient_id": patient, "accession_number": "ACC1",
        "requested_at": "2026-01-01T08:00:00Z" });
    house.create_order(requested).await?;
    let study = json!({ "pacs_endpoint_code": "MAIN", "study_instance_uid": "1.2.3", "patient_id": patient,
        "modality_code": "CT", "description": "CT head", "accession_number": "ACC1",
        "started_at": "2026-01-01T09:00:00Z", "patient": { "family_name": "wombat" } });
    let study = house.setup().post("/pacs/studies/sync", &study).await?;
    assert_eq!(study.status, 201, "{study:?}");
    let (path, tasks) = (timeline(patient), || house.client.get("/imaging-ai/tasks"));
    let asked = |result: &Result<TestResponse>| {
        result
            .as_ref()
            .is_ok_and(|response| response.ids().len() == 1)
    };
    poll::wait_until("the triage task", WAIT_TIMEOUT, tasks, asked).await??;
    let order = || house.client.get(&path);
    let done = |result: &Result<TestResponse>| {
        result
            .as_ref()
            .is_ok_and(|response| response.text.contains("completed"))
    };
    poll::wait_until("the order's completion", WAIT_TIMEOUT, order, done)
        .await?
        .map(drop)
}

async fn shows_what_happened_newest_first(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let patient = fresh();
    let other = fresh();
    examined(&house, patient).await?;
    house.create_order(json!({ "patient_id": other })).await?;
    let page = house.client.get(&timeline(patient)).await?;
    assert_eq!(
        each(&page, "kind"),
        ["ai_task", "study", "order"],
        "{page:?}"
    );
    assert_eq!(
        each(&page, "title"),
        ["triage by TRIAGE", "CT head", "CT head"]
    );
    assert_eq!(each(&page, "status"), ["queued", "available", "completed"]);
    assert_eq!(
        each(&page, "at")[1..],
        ["2026-01-01T09:00:00.000Z", "2026-01-01T08:00:00.000Z"]
    );
    assert_eq!(each(&page, "accession_number"), ["", "ACC1", "ACC1"]);
    assert!(
        !page.text.contains("wombat") && !page.text.contains("stroke"),
        "no PHI: {page:?}"
    );
    assert_eq!(
        each(&house.client.get(&timeline(other)).await?, "kind"),
        ["order"]
    );
    let stranger = TestClient::dev(&house.server.base, fresh());
    assert_eq!(stranger.get(&timeline(patient)).await?.json(), json!([]));
    Ok(())
}

async fn is_paged_over_all_kinds(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let patient = fresh();
    examined(&house, patient).await?;
    let late = json!({ "patient_id": patient, "requested_at": "2026-01-01T10:00:00Z" });
    house.create_order(late).await?;
    let whole = house.client.get(&timeline(patient)).await?;
    assert_eq!(each(&whole, "kind"), ["ai_task", "order", "study", "order"]);
    for limit in 1..=4 {
        let mut paged = Vec::new();
        let mut next = Some(format!("{}?limit={limit}", timeline(patient)));
        while let Some(path) = next {
            let page = house.client.get(&path).await?;
            assert!(page.ids().len() <= limit, "{page:?}");
            paged.extend(page.ids());
            next = page.next_page();
        }
        assert_eq!(paged, whole.ids(), "{limit}");
    }
    let first = house
        .client
        .get(&format!("{}?limit=1", timeline(patient)))
        .await?;
    let elsewhere = first
        .next_page()
        .unwrap()
        .replace(&patient.to_string(), &fresh().to_string());
    assert_all_rejected(
        &house.client,
        vec![RejectedRequest::get(
            &elsewhere,
            ProblemCode::InvalidParameter,
        )],
    )
    .await
}

async fn hides_ai_from_whom_reads_released_content_only(engine: EngineKind) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    let patient = fresh();
    examined(&house, patient).await?;
    for role in ["radiologist", "auditor", "admin"] {
        let page = house.caller(role)?.get(&timeline(patient)).await?;
        assert_eq!(each(&page, "kind"), ["ai_task", "study", "order"], "{role}");
    }
    for role in ["clinician", "technologist", "integration"] {
        let page = house.caller(role)?.get(&timeline(patient)).await?;
        assert_eq!(each(&page, "kind"), ["study", "order"], "{role}");
    }
    Ok(())
}

async fn refuses_what_it_does_not_know(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let refused = vec![
        RejectedRequest::get("/patients/nobody/timeline", ProblemCode::InvalidParameter),
        RejectedRequest::get(
            "/patients/00000000-0000-0000-0000-000000000007/timeline?kind=order",
            ProblemCode::InvalidParameter,
        ),
        RejectedRequest::get(
            "/patients/00000000-0000-0000-0000-000000000007/timeline?limit=0",
            ProblemCode::InvalidParameter,
        ),
    ];
    assert_all_rejected(&house.client, refused).await
}
