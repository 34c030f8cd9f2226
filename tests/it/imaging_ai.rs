//! `/imaging-ai`.

mod models;
mod outputs;
mod tasks;

use std::time::Duration;

use anyhow::Result;
use roentgen_tests::{TestResponse, poll};
use serde_json::{Value, json};

use crate::test_app::{TestApp, fresh, with};

const MODELS: &str = "/imaging-ai/models";
const TASKS: &str = "/imaging-ai/tasks";
pub(crate) const OUTPUTS: &str = "/imaging-ai/outputs";

/// Creates a model for triage and quality of any images, and returns its id.
async fn a_model(house: &TestApp, code: &str, members: Value) -> Result<String> {
    let body =
        json!({ "code": code, "name": code, "capabilities": { "triage": true, "quality": true } });
    let created = house.setup().post(MODELS, &with(body, members)).await?;
    assert_eq!(created.status, 201, "{created:?}");
    Ok(created.text_at("/id"))
}

/// Creates a model for other images than those of [`a_study`]: it gets tasks only from the test.
async fn an_unasked_model(house: &TestApp, code: &str) -> Result<String> {
    a_model(house, code, json!({ "modality_code": "MR" })).await
}

/// Syncs a study of a new patient and waits for its worklist item.
async fn a_study(house: &TestApp) -> Result<TestResponse> {
    let endpoint = json!({ "code": "MAIN_PACS", "name": "Main archive", "protocol": "DICOMWEB" });
    let endpoint = house.setup().post("/pacs/endpoints", &endpoint).await?;
    assert!([201, 409].contains(&endpoint.status), "{endpoint:?}");
    let uid = format!("2.25.{}", fresh().as_u128());
    let study = json!({ "pacs_endpoint_code": "MAIN_PACS", "study_instance_uid": uid,
        "patient_id": fresh(), "modality_code": "CT", "body_part": "HEAD" });
    let study = house.setup().post("/pacs/studies/sync", &study).await?;
    assert_eq!(study.status, 201, "{study:?}");
    let patient = study.text_at("/patient_id");
    let items = format!("/events?types=RadiologyWorklistItem.Created&patient_id={patient}");
    let listed = || house.client.get(&items);
    let there = |page: &Result<TestResponse>| {
        page.as_ref()
            .is_ok_and(|response| !response.lines().is_empty())
    };
    poll::wait_until("the study's worklist item", WAIT_TIMEOUT, listed, there).await??;
    Ok(study)
}

/// Time limit of a policy.
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);

fn asked(study: &str, model: &str, task_type: &str) -> Value {
    json!({ "imaging_study_id": study, "ai_model_id": model, "task_type": task_type })
}

/// Creates a triage task of a new study, and returns its id.
pub(crate) async fn a_task(house: &TestApp) -> Result<String> {
    let study = a_study(house).await?.text_at("/id");
    let model = an_unasked_model(house, &format!("M{}", fresh().simple())).await?;
    let task = house
        .setup()
        .post(TASKS, &asked(&study, &model, "triage"))
        .await?;
    assert_eq!(task.status, 201, "{task:?}");
    Ok(task.text_at("/id"))
}

async fn moved(house: &TestApp, task: &str, status: &str) -> Result<TestResponse> {
    let path = format!("{TASKS}/{task}/status");
    house
        .client
        .patch(&path, &json!({ "status": status }))
        .await
}
