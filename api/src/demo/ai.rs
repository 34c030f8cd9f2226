//! AI workflow: three AI tasks on a CT chest, and a radiologist who reviews their results.

use anyhow::ensure;
use serde_json::{Value, json};
use uuid::Uuid;

use super::catalog::DemoCatalog;
use super::client::{DemoClient, DemoStep, id, text};
use super::imaging::ordered;
use super::users::DemoUsers;

const PATIENT: Uuid = Uuid::from_u128(0xca5e_0002);
const UID: &str = "1.2.826.0.1.3680043.10.1001.2";

pub(super) async fn play(
    client: &DemoClient,
    cast: &DemoUsers,
    house: &DemoCatalog,
) -> anyhow::Result<()> {
    println!("\nThe AI workflow: a CT chest\n");
    let step = DemoStep::create(
        &cast.gateway,
        "syncs the study: its images come before its order",
    );
    let study = client
        .post(step, "/pacs/studies/sync", &study(UID, "ACC123457"))
        .await?;
    let study = id(&study)?;
    ordered(
        client,
        cast,
        &house.chest,
        ("ACC123457", "routine"),
        PATIENT,
    )
    .await?;
    let says = "study and order find each other";
    let path = format!("/pacs/studies/{study}");
    client
        .wait_until(&cast.gateway, says, &path, |value| {
            (text(value, "/link") == "linked").then_some(())
        })
        .await?;
    for (kind, output_type, payload) in [
        (
            "triage",
            "triage",
            json!({ "triage_score": 0.15, "flags": [] }),
        ),
        (
            "quality",
            "quality",
            json!({ "score": 0.8, "issues": ["slight motion"] }),
        ),
        (
            "pre_report",
            "suggested_report",
            json!({ "findings": "No nodule above 4 mm.", "impression": "No acute finding." }),
        ),
    ] {
        let task = task(client, cast, &study, kind).await?;
        output(client, cast, &task, (output_type, payload)).await?;
        complete(client, cast, &task).await?;
    }
    fails(client, cast, (&study, &house.chest_model)).await?;
    decided(client, cast, &study).await
}

fn study(uid: &str, accession: &str) -> Value {
    json!({
        "pacs_endpoint_code": "MAIN_PACS", "study_instance_uid": uid, "patient_id": PATIENT, "modality_code": "CT",
        "accession_number": accession, "body_part": "CHEST", "series": [{ "series_instance_uid": format!("{uid}.1"), "number_of_instances": 80 }],
    })
}

/// Waits for the task created when the study arrived, and starts it as the worker. Returns its id.
pub(super) async fn task(
    client: &DemoClient,
    cast: &DemoUsers,
    study: &str,
    kind: &str,
) -> anyhow::Result<String> {
    let path = format!("/imaging-ai/tasks?imaging_study_id={study}&task_type={kind}");
    let says = format!("a {kind} task is queued");
    let task = client
        .wait_until(&cast.model, &says, &path, |value| id(value.get(0)?).ok())
        .await?;
    let step = DemoStep::call(&cast.model, "starts the task");
    let path = format!("/imaging-ai/tasks/{task}/status");
    client
        .patch(step, &path, &json!({ "status": "running" }))
        .await?;
    Ok(task)
}

/// Adds an output of the model. Returns its id.
pub(super) async fn output(
    client: &DemoClient,
    cast: &DemoUsers,
    task: &str,
    (output_type, payload): (&str, Value),
) -> anyhow::Result<String> {
    let body =
        json!({ "imaging_ai_task_id": task, "output_type": output_type, "payload": payload });
    let says = format!("delivers {output_type}");
    let step = DemoStep::create(&cast.model, &says);
    id(&client.post(step, "/imaging-ai/outputs", &body).await?)
}

/// Completes the task by query parameter, as the source system's workers do.
pub(super) async fn complete(
    client: &DemoClient,
    cast: &DemoUsers,
    task: &str,
) -> anyhow::Result<()> {
    let step = DemoStep::call(&cast.model, "is done");
    let path = format!("/imaging-ai/tasks/{task}/status?status=completed");
    client.patch(step, &path, &json!({})).await?;
    Ok(())
}

/// Requests a segmentation, which the model fails to deliver.
async fn fails(
    client: &DemoClient,
    cast: &DemoUsers,
    (study, model): (&str, &str),
) -> anyhow::Result<()> {
    let body =
        json!({ "imaging_study_id": study, "ai_model_id": model, "task_type": "segmentation" });
    let step = DemoStep::create(&cast.colleague, "asks for a segmentation");
    let asked = id(&client.post(step, "/imaging-ai/tasks", &body).await?)?;
    let body = json!({ "status": "failed", "error_message": "out of memory" });
    let step = DemoStep::call(&cast.model, "reports failure");
    client
        .patch(step, &format!("/imaging-ai/tasks/{asked}/status"), &body)
        .await?;
    Ok(())
}

/// Reads the case: the low score does not move it back, and a radiologist reads it in its turn.
async fn decided(client: &DemoClient, cast: &DemoUsers, study: &str) -> anyhow::Result<()> {
    let path = format!("/radiology/worklist/items?imaging_study_id={study}");
    let says = "it is on the worklist: routine, score 0.15";
    let item = client
        .wait_until(&cast.colleague, says, &path, |value| {
            let item = value.get(0)?;
            item.get("ai_triage_score")?.as_f64()?;
            id(item).ok()
        })
        .await?;
    let item = format!("/radiology/worklist/items/{item}");
    let step = DemoStep::call(&cast.radiologist, "claims it");
    client
        .post(step, &format!("{item}/claim"), &json!({}))
        .await?;
    let second = second_case(client, cast).await?;
    let step = DemoStep::expect_rejection(
        &cast.radiologist,
        "claims another, and is refused: one at a time",
    );
    let claim = format!("/radiology/worklist/items/{second}/claim");
    client.post(step, &claim, &json!({})).await?;
    let step = DemoStep::call(&cast.radiologist, "releases the first case");
    client
        .post(step, &format!("{item}/release"), &json!({}))
        .await?;
    let body = json!({ "imaging_study_id": study, "patient_id": PATIENT, "impression": "No acute finding." });
    let step = DemoStep::create(&cast.colleague, "reports it, and so holds the case");
    let report = client.post(step, "/radiology/reports", &body).await?;
    ensure!(text(&report, "/status") == "draft", "a draft: {report}");
    let sign = format!("/radiology/reports/{}/sign", id(&report)?);
    let step = DemoStep::call(&cast.colleague, "signs, finally");
    client.post(step, &sign, &json!({ "final": true })).await?;
    let says = "the case is completed";
    client
        .wait_until(&cast.colleague, says, &item, |value| {
            (text(value, "/status") == "completed").then_some(())
        })
        .await
}

/// Creates a second study, without an order. Returns its worklist item's id.
async fn second_case(client: &DemoClient, cast: &DemoUsers) -> anyhow::Result<String> {
    let body = study(&format!("{UID}.9"), "ACC999999");
    let step = DemoStep::create(&cast.gateway, "syncs another study");
    let study = id(&client.post(step, "/pacs/studies/sync", &body).await?)?;
    let path = format!("/radiology/worklist/items?imaging_study_id={study}");
    let says = "it is on the worklist";
    client
        .wait_until(&cast.radiologist, says, &path, |value| {
            id(value.get(0)?).ok()
        })
        .await
}
