//! Imaging workflow: a stat CT head, from order to addendum.

use anyhow::{Context as _, ensure};
use reqwest::StatusCode;
use roentgen_store::clock;
use serde_json::{Value, json};
use uuid::Uuid;

use super::ai::{complete, output, task};
use super::catalog::DemoCatalog;
use super::client::{DemoClient, DemoStep, id, text};
use super::users::{CLINICIAN, DemoUsers};

/// Patient of the demo.
pub(super) const PATIENT: Uuid = Uuid::from_u128(0xca5e_0001);
const UID: &str = "1.2.826.0.1.3680043.10.1001.1";
const SERIES: u32 = 3;
const INSTANCES: u32 = 50;

/// Ids of the examination.
#[derive(Debug)]
pub(super) struct Examination {
    pub(super) study: String,
    order: String,
}

pub(super) async fn play(
    client: &DemoClient,
    cast: &DemoUsers,
    house: &DemoCatalog,
) -> anyhow::Result<Examination> {
    println!("\nThe imaging workflow: a stat CT head\n");
    let order = ordered(client, cast, &house.head, ("ACC123456", "stat"), PATIENT).await?;
    let path = format!("/imaging/orders/{order}");
    for (says, status) in [
        ("schedules the examination", "scheduled"),
        ("starts it", "in_progress"),
    ] {
        let step = DemoStep::call(&cast.gateway, says);
        client
            .patch(step, &path, &json!({ "status": status }))
            .await?;
    }
    let step = DemoStep::create(&cast.gateway, "syncs the study: 150 instances in 3 series");
    let study = client.post(step, "/pacs/studies/sync", &study()).await?;
    let study = id(&study)?;
    let says = "the order is completed, since its images are here";
    client
        .wait_until(&cast.clinician, says, &path, |value| {
            (text(value, "/status") == "completed").then_some(())
        })
        .await?;
    let suggestion = triaged(client, cast, &study).await?;
    let item = wait_for_worklist_item(client, cast, &study).await?;
    let report = read(client, cast, house, (&study, &item)).await?;
    signed(client, cast, (&report, &suggestion)).await?;
    Ok(Examination { study, order })
}

/// Creates an order as the clinician.
pub(super) async fn ordered(
    client: &DemoClient,
    cast: &DemoUsers,
    procedure: &str,
    (accession, priority): (&str, &str),
    patient: Uuid,
) -> anyhow::Result<String> {
    let body = json!({
        "patient_id": patient, "imaging_procedure_id": procedure, "priority": priority,
        "indication": "rule out acute stroke", "accession_number": accession,
        "ordering_practitioner_id": CLINICIAN,
        "patient": { "mrn": "DEMO-1", "family_name": "Example", "birth_date": "1950-01-31" },
    });
    let says = format!("orders, {priority}");
    let step = DemoStep::create(&cast.clinician, &says);
    id(&client.post(step, "/imaging/orders", &body).await?)
}

fn study() -> Value {
    let instance = |series: u32, n: u32| json!({ "sop_instance_uid": format!("{UID}.{series}.{n}"), "instance_number": n });
    let series = (1..=SERIES).map(|series| {
        let instances: Vec<Value> = (1..=INSTANCES).map(|n| instance(series, n)).collect();
        json!({
            "series_instance_uid": format!("{UID}.{series}"), "series_number": series, "instances": instances,
        })
    });
    json!({
        "pacs_endpoint_code": "MAIN_PACS", "study_instance_uid": UID, "patient_id": PATIENT, "modality_code": "CT",
        "accession_number": "ACC123456", "body_part": "HEAD", "description": "CT head without contrast",
        "series": series.collect::<Vec<_>>(),
    })
}

/// Adds the model's finding and draft report. Returns the draft's id.
async fn triaged(client: &DemoClient, cast: &DemoUsers, study: &str) -> anyhow::Result<String> {
    let triage = task(client, cast, study, "triage").await?;
    let payload = json!({ "triage_score": 0.92, "flags": ["ICH_suspected", "mass_effect"] });
    output(client, cast, &triage, ("triage", payload)).await?;
    complete(client, cast, &triage).await?;
    let draft = task(client, cast, study, "pre_report").await?;
    let payload = json!({
        "findings": "Hyperdense collection in the left basal ganglia.",
        "impression": "Suspected intracranial hemorrhage.",
    });
    let suggestion = output(client, cast, &draft, ("suggested_report", payload)).await?;
    complete(client, cast, &draft).await?;
    Ok(suggestion)
}

/// Waits until the case is on the worklist with the model's triage. Returns the item's id.
async fn wait_for_worklist_item(
    client: &DemoClient,
    cast: &DemoUsers,
    study: &str,
) -> anyhow::Result<String> {
    let path = format!("/radiology/worklist/items?imaging_study_id={study}");
    let says = "it is on the worklist: stat, score 0.92, ICH_suspected, mass_effect";
    client
        .wait_until(&cast.radiologist, says, &path, |value| {
            let item = value.get(0)?;
            let triaged = item.get("ai_triage_score")?.as_f64()? > 0.9;
            (triaged && text(item, "/priority") == "stat").then(|| id(item).ok())?
        })
        .await
}

/// Claims the case, opens the images and creates a draft. Returns the report's id.
async fn read(
    client: &DemoClient,
    cast: &DemoUsers,
    house: &DemoCatalog,
    (study, item): (&str, &str),
) -> anyhow::Result<String> {
    let claim = format!("/radiology/worklist/items/{item}/claim");
    let step = DemoStep::call(&cast.radiologist, "claims the case");
    client.post(step, &claim, &json!({})).await?;
    let step = DemoStep::expect_rejection(&cast.colleague, "tries to claim it and is rejected");
    client.post(step, &claim, &json!({})).await?;
    let launch = format!("/pacs/studies/{study}/viewer-launch");
    let step = DemoStep::call(&cast.radiologist, "opens the viewer");
    let launched = client.get(step, &launch).await?;
    let token = text(&launched, "/viewer_token");
    let verify = format!("/pacs/viewer-tokens/verify?study_instance_uid={UID}&token={token}");
    let says = "shows its token to the image proxy";
    let step = DemoStep::with(&cast.radiologist, says, StatusCode::NO_CONTENT);
    client.get(step, &verify).await?;
    let body =
        json!({ "imaging_study_id": study, "patient_id": PATIENT, "template_id": house.template });
    let step = DemoStep::create(&cast.radiologist, "creates a draft report from a template");
    let report = client.post(step, "/radiology/reports", &body).await?;
    ensure!(
        !text(&report, "/ai_assist_summary").is_empty(),
        "the report brings the AI's words along: {report}"
    );
    id(&report)
}

async fn signed(
    client: &DemoClient,
    cast: &DemoUsers,
    (report, suggestion): (&str, &str),
) -> anyhow::Result<()> {
    let path = format!("/radiology/reports/{report}");
    let judged = json!({ "decision": "modified", "note": "side confirmed, size added" });
    let step = DemoStep::call(&cast.radiologist, "accepts the AI draft with modifications");
    let place = format!("{path}/ai-suggestions/{suggestion}");
    client.post(step, &place, &judged).await?;
    let body = json!({
        "findings": "Hyperdense collection in the left basal ganglia, 3 cm, midline shift of 4 mm.",
        "impression": "Acute intracranial hemorrhage with mass effect.",
        "structured_data": { "hemorrhage": true, "midline_shift_mm": 4 }, "critical_result": true,
    });
    let step = DemoStep::call(&cast.radiologist, "edits the report and marks it critical");
    client.patch(step, &path, &body).await?;
    let step = DemoStep::call(&cast.radiologist, "signs the report as final");
    let signed = client
        .post(step, &format!("{path}/sign"), &json!({ "final": true }))
        .await?;
    ensure!(
        signed.pointer("/signature/valid") == Some(&Value::Bool(true)),
        "it holds: {signed}"
    );
    let step = DemoStep::expect_rejection(
        &cast.radiologist,
        "tries to edit the signed report and is rejected",
    );
    client
        .patch(step, &path, &json!({ "impression": "Nothing." }))
        .await?;
    let step = DemoStep::call(&cast.radiologist, "lists open critical results");
    let open = client
        .get(step, "/radiology/critical-results?status=open")
        .await?;
    ensure!(
        open.as_array().is_some_and(|values| values.len() == 1),
        "one waits: {open}"
    );
    let body = json!({
        "recipient": "the ordering physician", "method": "phone", "read_back": true,
        "communicated_at": clock::now(),
    });
    let step = DemoStep::create(
        &cast.radiologist,
        "communicates it by phone, with read-back",
    );
    client
        .post(step, &format!("{path}/communications"), &body)
        .await?;
    let body = json!({ "content": "Neurosurgery was called at once.", "kind": "addition" });
    let step = DemoStep::create(&cast.radiologist, "adds an addendum");
    client.post(step, &format!("{path}/addenda"), &body).await?;
    Ok(())
}

/// Shows a rejected transition, a cancelled order, an archived study and a patient timeline.
pub(super) async fn closing_examples(
    client: &DemoClient,
    cast: &DemoUsers,
    house: &DemoCatalog,
    examination: &Examination,
) -> anyhow::Result<()> {
    println!("\nAfterwards\n");
    let path = format!("/imaging/orders/{}", examination.order);
    let step = DemoStep::expect_rejection(
        &cast.gateway,
        "tries to reschedule the completed order and is rejected",
    );
    client
        .patch(step, &path, &json!({ "status": "scheduled" }))
        .await?;
    let second = ordered(client, cast, &house.head, ("ACC123458", "routine"), PATIENT).await?;
    let body = json!({ "status": "cancelled", "cancellation_reason": "the patient went home" });
    let step = DemoStep::call(&cast.clinician, "cancels the order");
    client
        .patch(step, &format!("/imaging/orders/{second}"), &body)
        .await?;
    let path = format!("/pacs/studies/{}", examination.study);
    let step = DemoStep::call(&cast.gateway, "archives the CT head");
    client
        .patch(step, &path, &json!({ "status": "archived" }))
        .await?;
    let step = DemoStep::call(&cast.radiologist, "looks at the patient's timeline");
    let timeline = client
        .get(step, &format!("/patients/{PATIENT}/timeline"))
        .await?;
    let entries = timeline.as_array().context("a list")?;
    for entry in entries {
        println!(
            "  {:<18} {} {}",
            "",
            text(entry, "/at"),
            text(entry, "/kind")
        );
    }
    ensure!(entries.len() > 3, "orders, study, report, AI: {timeline}");
    Ok(())
}
