//! Effects of policies as clients see them: they appear in the lists a moment later.

use anyhow::{Result, ensure};
use roentgen_tests::{EngineKind, TestClient, TestResponse, poll};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::WAIT_TIMEOUT;
use crate::test_app::{TestApp, fresh, on_both_engines, with};

on_both_engines!(
    a_study_synced_by_many_clients_is_one_study_one_item_and_one_task_a_model,
    a_claim_left_alone_goes_back_to_the_list,
    a_triage_shows_on_the_worklist,
    one_correlation_id_leads_from_the_sync_to_the_triage_on_the_worklist,
);

const CLIENTS: usize = 32;

fn images() -> Value {
    json!({
        "pacs_endpoint_code": "MAIN_PACS", "modality_code": "CT", "patient_id": fresh(),
        "study_instance_uid": format!("2.25.{}", fresh().as_u128()),
    })
}

async fn furnished(engine: EngineKind, arguments: &[&str]) -> Result<TestApp> {
    let house = TestApp::open_with(engine, arguments).await?;
    let endpoint = json!({ "code": "MAIN_PACS", "name": "Main archive", "protocol": "DICOMWEB" });
    done(house.client.post("/pacs/endpoints", &endpoint).await?)?;
    Ok(house)
}

async fn model(house: &TestApp, code: &str) -> Result<String> {
    let model = json!({ "code": code, "name": "a model", "capabilities": { "triage": true } });
    let model = done(house.client.post("/imaging-ai/models", &model).await?)?;
    Ok(model.text_at("/id"))
}

fn done(answer: TestResponse) -> Result<TestResponse> {
    ensure!(matches!(answer.status, 200 | 201), "{answer:?}");
    Ok(answer)
}

/// Waits until a list meets a condition.
async fn listed(
    client: &TestClient,
    path: &str,
    is: impl Fn(&[Value]) -> bool,
) -> Result<Vec<Value>> {
    let rows = async || match client.get(path).await {
        Ok(answer) => answer.json().as_array().cloned().unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    poll::wait_until(path, WAIT_TIMEOUT, rows, |values| is(values)).await
}

async fn a_study_synced_by_many_clients_is_one_study_one_item_and_one_task_a_model(
    engine: EngineKind,
) -> Result<()> {
    let house = furnished(engine, &["--dev"]).await?;
    for code in ["ONE", "TWO"] {
        model(&house, code).await?;
    }
    let images = images();
    let mut syncing = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = house.client.clone();
        let images = images.clone();
        syncing.spawn(async move { client.post("/pacs/studies/sync", &images).await });
    }
    let mut created = 0;
    while let Some(synced) = syncing.join_next().await {
        created += u32::from(done(synced??)?.status == 201);
    }
    assert_eq!(created, 1);
    let client = &house.client;
    listed(client, "/imaging-ai/tasks", |values| values.len() == 2).await?;
    listed(client, "/radiology/worklist/items", |values| {
        values.len() == 1
    })
    .await?;
    listed(client, "/pacs/studies", |values| values.len() == 1).await?;
    // Another sync, and all its effects, change nothing.
    done(client.post("/pacs/studies/sync", &images).await?)?;
    let tasks = listed(client, "/imaging-ai/tasks", |values| !values.is_empty()).await?;
    assert_eq!(tasks.len(), 2, "{tasks:?}");
    Ok(())
}

async fn a_claim_left_alone_goes_back_to_the_list(engine: EngineKind) -> Result<()> {
    let house = furnished(engine, &["--dev", "--claim-timeout", "1s"]).await?;
    done(house.client.post("/pacs/studies/sync", &images()).await?)?;
    let items = "/radiology/worklist/items";
    let pending = listed(&house.client, items, |values| values.len() == 1).await?;
    let place = format!("{items}/{}", pending[0]["id"].as_str().unwrap_or_default());
    let radiologist = house.caller("radiologist")?;
    let claimed = done(
        radiologist
            .post(&format!("{place}/claim"), &json!({}))
            .await?,
    )?;
    assert_eq!(claimed.text_at("/status"), "claimed");
    let back = |values: &[Value]| values.len() == 1 && values[0]["status"] == "pending";
    let back = listed(&house.client, items, back).await?;
    assert_eq!(back[0].get("assigned_radiologist_id"), None);
    let again = done(
        radiologist
            .post(&format!("{place}/claim"), &json!({}))
            .await?,
    )?;
    assert_eq!(again.text_at("/status"), "claimed");
    Ok(())
}

async fn a_triage_shows_on_the_worklist(engine: EngineKind) -> Result<()> {
    let house = furnished(engine, &["--dev"]).await?;
    let high = model(&house, "HIGH").await?;
    let low = model(&house, "LOW").await?;
    done(house.client.post("/pacs/studies/sync", &images()).await?)?;
    let tasks = listed(&house.client, "/imaging-ai/tasks", |values| {
        values.len() == 2
    })
    .await?;
    for (model, score, flag) in [(high, 0.92, "ICH_suspected"), (low, 0.15, "motion")] {
        let task = tasks
            .iter()
            .find(|task| task["ai_model_id"] == model.as_str());
        let output = json!({ "output_type": "triage", "payload": { "triage_score": score, "flags": [flag] } });
        let output = with(
            output,
            json!({ "imaging_ai_task_id": task.map(|task| &task["id"]) }),
        );
        done(house.client.post("/imaging-ai/outputs", &output).await?)?;
    }
    let both = |values: &[Value]| {
        values.iter().any(|value| {
            value["ai_contributions"]
                .as_array()
                .is_some_and(|values| values.len() == 2)
        })
    };
    let items = listed(&house.client, "/radiology/worklist/items", both).await?;
    assert_eq!(items[0]["ai_triage_score"], 0.92);
    assert_eq!(items[0]["priority"], "routine");
    Ok(())
}

/// A worker that follows the feed sends back the correlation id of its task.
async fn one_correlation_id_leads_from_the_sync_to_the_triage_on_the_worklist(
    engine: EngineKind,
) -> Result<()> {
    const HEADER: &str = "x-correlation-id";
    let house = furnished(engine, &["--dev"]).await?;
    model(&house, "HIGH").await?;
    let correlation = fresh().to_string();
    let archive = house.client.with(HEADER, &correlation);
    let synced = done(archive.post("/pacs/studies/sync", &images()).await?)?;
    assert_eq!(synced.header(HEADER), correlation);
    let task = fed(&house.client, "ImagingAI.TaskCreated").await?;
    let worker = task["correlation_id"].as_str().unwrap_or_default();
    let worker = house.client.with(HEADER, worker);
    let output = json!({ "imaging_ai_task_id": task["stream"]["id"], "output_type": "triage",
        "payload": { "triage_score": 0.92, "flags": [] } });
    done(worker.post("/imaging-ai/outputs", &output).await?)?;
    let output = fed(&house.client, "ImagingAI.OutputCreated").await?;
    let triaged = fed(&house.client, "RadiologyWorklistItem.Updated").await?;
    assert_eq!(triaged["causation_id"], output["id"], "{triaged}");
    let study = fed(&house.client, "ImagingStudy.Available").await?;
    let item = fed(&house.client, "RadiologyWorklistItem.Created").await?;
    for event in [study, item, task, output, triaged] {
        assert_eq!(event["correlation_id"], correlation, "{event}");
    }
    Ok(())
}

/// Waits for the first event of a type in the feed.
async fn fed(client: &TestClient, event_type: &str) -> Result<Value> {
    let path = format!("/events?types={event_type}");
    let events = async || match client.get(&path).await {
        Ok(answer) => answer.lines(),
        Err(_) => Vec::new(),
    };
    let events = poll::wait_until(&path, WAIT_TIMEOUT, events, |values| !values.is_empty()).await?;
    Ok(events[0].clone())
}
