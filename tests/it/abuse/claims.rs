//! Endless claims and releases of a case: its stream ends at its bound, and the case can still be completed.

use anyhow::{Result, ensure};
use roentgen_api::problem::ProblemCode;
use roentgen_domain::Change;
use roentgen_domain::growth::MAX_CHANGES;
use roentgen_domain::ids::{StudyId, WorklistItemId};
use roentgen_domain::order::Priority;
use roentgen_domain::worklist_item::{Event, Updated, WorklistItem};
use roentgen_tests::{EngineKind, TestClient};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rows::grow;
use crate::assertions::assert_problem;
use crate::read_model_audit::OfflineDatabase;
use crate::test_app::{TestApp, fresh, on_both_engines};
use crate::workflow::fixtures::{done, has};

on_both_engines!(an_item_at_its_bound_is_claimed_released_and_read);

async fn a_study(house: &TestApp) -> Result<(Uuid, Value)> {
    let endpoint = json!({ "code": "MAIN", "name": "Main archive", "protocol": "DICOMWEB" });
    done(house.client.post("/pacs/endpoints", &endpoint).await?);
    let study = json!({ "pacs_endpoint_code": "MAIN", "patient_id": fresh(),
        "modality_code": "CT", "study_instance_uid": format!("2.25.{}", fresh().as_u128()) });
    let study = done(house.client.post("/pacs/studies/sync", &study).await?);
    Ok((study.text_at("/id").parse()?, study.json()))
}

/// Returns a change that can be repeated without limit.
fn edit(study: StudyId) -> Event {
    Event::Updated(Box::new(Updated {
        worklist_item_id: WorklistItemId::derive(study),
        imaging_study_id: study,
        status: None,
        priority: Some(Priority::Urgent),
        ai_contribution: None,
        attention: None,
        imaging_order_id: Change::Keep,
        last_activity_at: None,
    }))
}

async fn an_item_at_its_bound_is_claimed_released_and_read(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let (study, body) = a_study(&house).await?;
    let item = WorklistItemId::derive(study.into());
    let place = format!("/radiology/worklist/items/{item}");
    has(&house.client, &place, "status", json!("pending")).await?;
    let beside = OfflineDatabase::open(&house.database).await?;
    grow::<WorklistItem>(&house, &beside, item.as_uuid(), &edit(study.into())).await?;
    beside.close().await;
    let anna = house.caller("radiologist")?;
    let boris = house.caller("radiologist")?;
    let post = async |client: &TestClient, step: &str| {
        client.post(&format!("{place}/{step}"), &json!({})).await
    };

    let last = done(post(&anna, "claim").await?);
    ensure!(last.json()["version"] == MAX_CHANGES, "{last:?}");
    assert_problem(
        &post(&anna, "release").await?,
        ProblemCode::TooLarge,
        "her own",
    );
    done(post(&house.client, "release").await?);
    done(post(&boris, "claim").await?);
    let report = json!({ "imaging_study_id": study, "patient_id": body["patient_id"],
        "impression": "no fracture" });
    let report = done(boris.post("/radiology/reports", &report).await?);
    has(&house.client, &place, "status", json!("in_progress")).await?;
    let sign = format!("{}/sign", report.header("location"));
    done(boris.post(&sign, &json!({ "final": true })).await?);
    has(&house.client, &place, "status", json!("completed")).await?;
    Ok(())
}
