//! `/radiology/reports` and `/radiology/critical-results`.

mod addenda;
mod case_assignment;
mod cleared;
mod corrupt_phi;
mod critical_results;
mod drafting;
mod signing;
mod tampered_signature;
mod visibility;

use anyhow::Result;
use roentgen_tests::{EngineKind, TestClient, TestResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixtures::{ITEMS, RadiologistClient, WorklistApp};
use crate::assertions::{RejectedRequest, assert_problem, pointers};
use crate::test_app::{fresh, with};

pub(super) const REPORTS: &str = "/radiology/reports";

/// Study of a patient.
#[derive(Debug, Clone)]
pub(super) struct Images {
    study: Uuid,
    patient: Uuid,
}

/// Starts a worklist app with a PACS endpoint.
pub(super) async fn start_with_archive(engine: EngineKind) -> Result<WorklistApp> {
    a_room_with(engine, &[]).await
}

/// Starts a worklist app with a PACS endpoint and additional arguments.
async fn a_room_with(engine: EngineKind, arguments: &[&str]) -> Result<WorklistApp> {
    let room = WorklistApp::open_with(engine, arguments).await?;
    let archive = json!({ "code": "MAIN", "name": "Main archive", "protocol": "DICOMWEB" });
    let archive = room.house.setup().post("/pacs/endpoints", &archive).await?;
    assert_eq!(archive.status, 201, "{archive:?}");
    Ok(room)
}

/// Syncs a study; by default a CT of the head.
pub(super) async fn images(room: &WorklistApp, members: Value) -> Result<Images> {
    let patient = fresh();
    let study = json!({
        "pacs_endpoint_code": "MAIN", "study_instance_uid": format!("2.25.{}", fresh().as_u128()),
        "patient_id": patient, "modality_code": "CT", "body_part": "HEAD",
    });
    let study = with(study, members);
    let synced = room
        .house
        .setup()
        .post("/pacs/studies/sync", &study)
        .await?;
    assert_eq!(synced.status, 201, "{synced:?}");
    Ok(Images {
        study: synced.text_at("/id").parse()?,
        patient: synced.text_at("/patient_id").parse()?,
    })
}

/// Puts the study on the worklist unless a policy has done so, and returns the path of its case.
pub(super) async fn case(room: &WorklistApp, images: &Images) -> Result<String> {
    let item = json!({ "imaging_study_id": images.study, "patient_id": images.patient,
        "modality_code": "CT", "priority": "routine" });
    let put = room.house.setup().post(ITEMS, &item).await?;
    assert!([201, 409].contains(&put.status), "{put:?}");
    let study: roentgen_domain::ids::StudyId = images.study.into();
    let id = roentgen_domain::ids::WorklistItemId::derive(study);
    Ok(format!("{ITEMS}/{id}"))
}

/// Checks that each request is rejected as expected and appends no event of a report. Policies may append other events
/// at the same time.
async fn all_refused(
    room: &WorklistApp,
    client: &TestClient,
    refused: Vec<RejectedRequest<'_>>,
) -> Result<()> {
    let events = "/events?stream_type=RadiologyReport&limit=5000";
    let before = room.house.client.get(events).await?.lines();
    for request in refused {
        let asked = format!("{} {}", request.method, request.path);
        let answer = client
            .send(request.method, request.path, request.body)
            .await?;
        assert_problem(&answer, request.code, &asked);
        if !request.pointers.is_empty() {
            assert_eq!(pointers(&answer), request.pointers, "{asked}: {answer:?}");
        }
    }
    assert_eq!(room.house.client.get(events).await?.lines(), before);
    Ok(())
}

fn body(images: &Images, members: Value) -> Value {
    let body = json!({
        "imaging_study_id": images.study, "patient_id": images.patient,
        "findings": "a hyperdense left MCA", "impression": "acute stroke",
    });
    with(body, members)
}

/// Creates a draft and returns its path.
pub(super) async fn a_draft(
    by: &RadiologistClient,
    images: &Images,
    members: Value,
) -> Result<String> {
    let created = by.client.post(REPORTS, &body(images, members)).await?;
    assert_eq!(created.status, 201, "{created:?}");
    Ok(created.header("location"))
}

async fn sign(by: &RadiologistClient, place: &str, is_final: bool) -> Result<TestResponse> {
    let signing = json!({ "final": is_final });
    by.client.post(&format!("{place}/sign"), &signing).await
}

/// Creates and signs a report, and returns its path.
async fn a_signed(by: &RadiologistClient, images: &Images, is_final: bool) -> Result<String> {
    let place = a_draft(by, images, json!({})).await?;
    let signed = sign(by, &place, is_final).await?;
    assert_eq!(signed.status, 200, "{signed:?}");
    Ok(place)
}

/// Creates and signs a critical report, and returns its path.
async fn a_critical(by: &RadiologistClient, images: &Images, is_final: bool) -> Result<String> {
    let place = a_draft(by, images, json!({})).await?;
    let marked = by
        .client
        .patch(&place, &json!({ "critical_result": true }))
        .await;
    assert_eq!(marked?.status, 200);
    let signed = sign(by, &place, is_final).await?;
    assert_eq!(signed.status, 200, "{signed:?}");
    Ok(place)
}

fn told() -> Value {
    json!({
        "recipient": "Dr. Example", "method": "phone", "read_back": true,
        "communicated_at": "2026-01-31T08:15:00Z", "note": "thrombectomy team called",
    })
}

/// Returns the types of a report's events, in order.
async fn trail(room: &WorklistApp, place: &str) -> Result<Vec<String>> {
    let id = place.rsplit('/').next().unwrap_or_default();
    let events = format!("/events?stream_id={id}&limit=5000");
    let events = room.house.client.get(&events).await?.lines();
    let name = |value: &Value| value["type"].as_str().unwrap_or_default().to_owned();
    let short = |text: String| text.replace("RadiologyReport.", "");
    Ok(events.iter().map(name).map(short).collect())
}

/// Returns the only event of a type in the report's stream.
async fn event(room: &WorklistApp, place: &str, name: &str) -> Result<Value> {
    let id = place.rsplit('/').next().unwrap_or_default();
    let events = format!("/events?stream_id={id}&types=RadiologyReport.{name}&phi=true");
    let events = room.house.client.get(&events).await?.lines();
    assert_eq!(events.len(), 1, "{name}: {events:?}");
    Ok(events[0].clone())
}
