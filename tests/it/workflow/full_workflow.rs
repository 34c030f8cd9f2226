//! The whole workflow of one patient: ordered, imaged, triaged, read, signed, communicated and extended by an addendum,
//! with a unique canary in every PHI member; and a second order and a second report that are cancelled.

use std::cell::RefCell;

use anyhow::{Context as _, Result};
use reqwest::Method;
use roentgen_tests::{TestClient, TestResponse};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::fixtures::{becomes, done, has};
use crate::test_app::{TestApp, fresh, with};

/// Unique canaries; each contains the name of its member.
#[derive(Debug, Default)]
pub(crate) struct PhiCanaries(RefCell<Vec<String>>);

impl PhiCanaries {
    /// Returns the canary for a member and records it.
    pub(crate) fn id_of(&self, member: &str) -> String {
        let word = format!("zq-{member}-w7c");
        let mut said = self.0.borrow_mut();
        if !said.contains(&word) {
            said.push(word.clone());
        }
        word
    }

    /// Returns a unique date and records it.
    fn birth_date(&self) -> &'static str {
        let date = "1871-03-11";
        self.0.borrow_mut().push(date.to_owned());
        date
    }

    /// Returns all canaries recorded so far.
    pub(crate) fn said(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

/// Paths of the created resources.
#[derive(Debug)]
pub(crate) struct WorkflowRecord {
    pub(crate) patient: Uuid,
    pub(crate) order: String,
    pub(crate) study: String,
    pub(crate) item: String,
    pub(crate) task: String,
    pub(crate) outputs: Vec<String>,
    pub(crate) report: String,
    /// Report that was cancelled.
    pub(crate) cancelled: String,
    /// Client of the radiologist of both reports.
    pub(crate) reader: TestClient,
}

impl WorkflowRecord {
    /// Returns the paths of all the patient's resources.
    pub(crate) fn places(&self) -> Vec<&str> {
        let one_each = [&self.order, &self.study, &self.item, &self.task];
        let reports = [&self.report, &self.cancelled];
        let all = one_each.into_iter().chain(&self.outputs).chain(reports);
        all.map(String::as_str).collect()
    }
}

/// Runs the workflow in an app without a PACS endpoint.
pub(crate) async fn run_workflow(house: &TestApp, words: &PhiCanaries) -> Result<WorkflowRecord> {
    let catalog = Catalog::furnish(house).await?;
    play_again(house, &catalog, words).await
}

/// Runs the workflow for another patient.
pub(crate) async fn play_again(
    house: &TestApp,
    catalog: &Catalog,
    words: &PhiCanaries,
) -> Result<WorkflowRecord> {
    let patient = fresh();
    let reader = house.caller("radiologist")?;
    let order = ordered(house, patient, words).await?;
    let study = imaged(house, patient, Some(&order), words).await?;
    let item = on_the_list(house, &study).await?;
    let (task, outputs) = analysed(house, catalog, &study, &item, words).await?;
    post(&reader, &format!("{item}/claim"), &json!({})).await?;
    let report = drafted(&reader, catalog, &study, words).await?;
    has(&house.client, &item, "status", json!("in_progress")).await?;
    judged(&reader, &report, &outputs, words).await?;
    signed(&reader, &report, words).await?;
    has(&house.client, &item, "status", json!("completed")).await?;
    let cancelled = called_off(house, patient, &reader, words).await?;
    Ok(WorkflowRecord {
        patient,
        order: order.header("location"),
        study: place("/pacs/studies", &study),
        item,
        task,
        outputs,
        report,
        cancelled,
        reader,
    })
}

/// Resources that exist before the first patient.
#[derive(Debug)]
pub(crate) struct Catalog {
    model: String,
    template: String,
}

impl Catalog {
    pub(crate) async fn furnish(house: &TestApp) -> Result<Self> {
        let admin = &house.client;
        let archive = json!({ "code": "MAIN", "name": "Main archive", "protocol": "DICOMWEB" });
        done(admin.post("/pacs/endpoints", &archive).await?);
        let profile = json!({ "practitioner_id": fresh(), "allowed_modalities": ["CT"] });
        let profile = done(admin.post("/radiology/reading-profiles", &profile).await?);
        let place = profile.header("location");
        let fewer = json!({ "max_concurrent_cases": 3, "is_active": false }).to_string();
        let changing = admin.send(Method::PUT, &place, fewer.into());
        done(changing.await?);
        // Made for other images, so that policies create no tasks for it.
        let model = json!({ "code": "CT_HEAD_ICH", "name": "ICH triage", "modality_code": "MR",
            "capabilities": { "triage": true } });
        let model = done(admin.post("/imaging-ai/models", &model).await?);
        let template = json!({ "code": "CT_HEAD", "name": "CT head", "template_type": "hybrid",
            "schema": { "type": "object", "properties": { "aspects": { "type": "string" } } },
            "default_text": { "technique": "Plain.", "ventricles": "Slim." } });
        let template = done(admin.post("/radiology/templates", &template).await?);
        Ok(Self {
            model: model.text_at("/id"),
            template: template.text_at("/id"),
        })
    }
}

/// Returns the caller with a new idempotency key, so that stored outcomes are scanned as well.
fn keyed(client: &TestClient) -> TestClient {
    client.with("idempotency-key", &fresh().to_string())
}

async fn post(client: &TestClient, path: &str, body: &Value) -> Result<TestResponse> {
    Ok(done(keyed(client).post(path, body).await?))
}

async fn patch(client: &TestClient, path: &str, body: &Value) -> Result<TestResponse> {
    Ok(done(keyed(client).patch(path, body).await?))
}

fn place(list: &str, resource: &TestResponse) -> String {
    format!("{list}/{}", resource.text_at("/id"))
}

fn person(of: &str, words: &PhiCanaries) -> Value {
    let word = |member: &str| words.id_of(&format!("{of}-{member}"));
    json!({ "mrn": word("mrn"), "family_name": word("family"), "given_name": word("given"),
        "birth_date": words.birth_date(), "sex": "female" })
}

fn accession() -> String {
    fresh().simple().to_string()[20..].to_owned()
}

/// Creates an order, after one that is cancelled.
async fn ordered(house: &TestApp, patient: Uuid, words: &PhiCanaries) -> Result<TestResponse> {
    let body = house.order_with(json!({
        "patient_id": patient, "accession_number": accession(), "priority": "stat",
        "indication": words.id_of("indication"), "patient": person("order", words),
        "metadata": { (words.id_of("key")): [{ "ward": words.id_of("metadata") }] },
    }));
    let admin = &house.client;
    let another = with(body.clone(), json!({ "accession_number": null }));
    let another = post(admin, "/imaging/orders", &another).await?;
    let off = json!({ "status": "cancelled", "cancellation_reason": words.id_of("order-reason") });
    patch(admin, &another.header("location"), &off).await?;
    let order = post(admin, "/imaging/orders", &body).await?;
    let later = json!({ "metadata": { "note": words.id_of("later") } });
    patch(admin, &order.header("location"), &later).await?;
    Ok(order)
}

/// Syncs a study twice, the second time with one more series.
async fn imaged(
    house: &TestApp,
    patient: Uuid,
    order: Option<&TestResponse>,
    words: &PhiCanaries,
) -> Result<TestResponse> {
    let uid = || format!("2.25.{}", fresh().as_u128());
    let series = json!([{ "series_instance_uid": uid(), "series_number": 1,
        "instances": [{ "sop_instance_uid": uid(), "instance_number": 1 }] }]);
    let body = json!({
        "pacs_endpoint_code": "MAIN", "patient_id": patient, "modality_code": "CT",
        "body_part": "HEAD", "study_instance_uid": uid(), "series": series,
        "accession_number": order.map(|response| response.text_at("/accession_number")),
        "patient": person("study", words),
    });
    let sync = "/pacs/studies/sync";
    let study = post(&house.client, sync, &with(body.clone(), json!({}))).await?;
    let more = json!({ "series": [{ "series_instance_uid": uid(), "series_number": 2 }] });
    post(&house.client, sync, &with(body, more)).await?;
    if order.is_some() {
        let study = place("/pacs/studies", &study);
        has(&house.client, &study, "link", json!("linked")).await?;
    }
    Ok(study)
}

async fn on_the_list(house: &TestApp, study: &TestResponse) -> Result<String> {
    let id: roentgen_domain::ids::StudyId = study.text_at("/id").parse::<Uuid>()?.into();
    let id = roentgen_domain::ids::WorklistItemId::derive(id);
    let item = format!("/radiology/worklist/items/{id}");
    has(&house.client, &item, "status", json!("pending")).await?;
    Ok(item)
}

/// Creates a result of each type; returns the paths of the task and of the results.
async fn analysed(
    house: &TestApp,
    catalog: &Catalog,
    study: &TestResponse,
    item: &str,
    words: &PhiCanaries,
) -> Result<(String, Vec<String>)> {
    let admin = &house.client;
    let task = json!({ "imaging_study_id": study.text_at("/id"), "ai_model_id": catalog.model,
        "task_type": "triage" });
    let task = post(admin, "/imaging-ai/tasks", &task).await?;
    let id = task.text_at("/id");
    let task = place("/imaging-ai/tasks", &task);
    let status = format!("{task}/status");
    patch(admin, &status, &json!({ "status": "running" })).await?;
    let mut outputs = Vec::new();
    for (output_type, payload) in payloads(words) {
        let output = json!({ "imaging_ai_task_id": id, "output_type": output_type,
            "payload": payload });
        let kept = post(admin, "/imaging-ai/outputs", &output).await?;
        outputs.push(kept.header("location"));
    }
    patch(admin, &status, &json!({ "status": "completed" })).await?;
    let triaged = |value: &Value| value["ai_triage_score"] == json!(0.92);
    becomes(admin, item, triaged).await?;
    Ok((task, outputs))
}

fn payloads(words: &PhiCanaries) -> [(&'static str, Value); 7] {
    let word = |member: &str| words.id_of(&format!("ai-{member}"));
    let finding = json!({ "label": word("label"), "confidence": 0.5, "code": word("code"),
        "location": { (word("location-key")): word("location") } });
    let further = json!({ (word("further-key")): { "deep": [word("further")] } });
    [
        (
            "suggested_report",
            json!({ "findings": word("findings"), "impression": word("impression") }),
        ),
        ("finding_list", json!({ "findings": [finding] })),
        (
            "triage",
            with(
                json!({ "triage_score": 0.92, "flags": ["ICH_suspected"] }),
                further,
            ),
        ),
        (
            "quality",
            json!({ "score": 0.8, "issues": [word("issue")] }),
        ),
        (
            "bbox",
            json!({ "boxes": [{ "x": 1, "y": 2, "width": 3, "height": 4, "label": word("box") }] }),
        ),
        ("segmentation", json!({ "reference": word("reference") })),
        ("comparison", json!({ "summary": word("comparison") })),
    ]
}

/// Creates a report with content in every section, and overwrites it.
async fn drafted(
    reader: &TestClient,
    catalog: &Catalog,
    study: &TestResponse,
    words: &PhiCanaries,
) -> Result<String> {
    let spoken = |round: &str| {
        let members = ["clinical_history", "technique", "findings", "impression"];
        let said = members.map(|member| {
            let said = words.id_of(&format!("{round}-{member}"));
            (member.to_owned(), Value::String(said))
        });
        Value::Object(Map::from_iter(said))
    };
    let data = |round: &str| {
        json!({ "aspects": words.id_of(&format!("{round}-data")),
        (words.id_of(&format!("{round}-data-key"))): 1 })
    };
    let new = json!({ "imaging_study_id": study.text_at("/id"),
        "patient_id": study.text_at("/patient_id"), "template_id": catalog.template,
        "structured_data": data("first") });
    let new = with(new, spoken("first"));
    let report = post(reader, "/radiology/reports", &new)
        .await?
        .header("location");
    let edit = json!({ "structured_data": data("second"), "critical_result": true,
        "ai_assist_summary": words.id_of("ai-summary"),
        "sections": [{ "code": "ventricles", "text": words.id_of("section") }] });
    patch(reader, &report, &with(edit, spoken("second"))).await?;
    Ok(report)
}

async fn judged(
    reader: &TestClient,
    report: &str,
    outputs: &[String],
    words: &PhiCanaries,
) -> Result<()> {
    let output = outputs.first().and_then(|text| text.rsplit('/').next());
    let judging = format!("{report}/ai-suggestions/{}", output.context("no output")?);
    let note = json!({ "decision": "modified", "note": words.id_of("suggestion-note") });
    post(reader, &judging, &note).await?;
    Ok(())
}

fn told(when: &str, words: &PhiCanaries) -> Value {
    json!({ "recipient": words.id_of(&format!("{when}-recipient")), "method": "phone",
        "read_back": true, "communicated_at": "2026-01-31T08:15:00Z",
        "note": words.id_of(&format!("{when}-note")) })
}

/// Signs the report as preliminary, changes it, signs it as final, and adds an addendum.
async fn signed(reader: &TestClient, report: &str, words: &PhiCanaries) -> Result<()> {
    let sign = format!("{report}/sign");
    let preliminary = json!({ "final": false, "communication": told("signed", words) });
    post(reader, &sign, &preliminary).await?;
    let later = json!({ "impression": words.id_of("third-impression") });
    patch(reader, report, &later).await?;
    post(
        reader,
        &format!("{report}/communications"),
        &told("later", words),
    )
    .await?;
    post(reader, &sign, &json!({ "final": true })).await?;
    let addendum = json!({ "content": words.id_of("addendum"), "kind": "correction" });
    post(reader, &format!("{report}/addenda"), &addendum).await?;
    Ok(())
}

/// Creates and cancels a report of another study of the same patient.
async fn called_off(
    house: &TestApp,
    patient: Uuid,
    reader: &TestClient,
    words: &PhiCanaries,
) -> Result<String> {
    let study = imaged(house, patient, None, words).await?;
    let item = on_the_list(house, &study).await?;
    let new = json!({ "imaging_study_id": study.text_at("/id"), "patient_id": patient,
        "impression": words.id_of("cancelled-impression") });
    let report = post(reader, "/radiology/reports", &new)
        .await?
        .header("location");
    has(&house.client, &item, "status", json!("in_progress")).await?;
    let reason = json!({ "reason": words.id_of("report-reason") });
    post(reader, &format!("{report}/cancel"), &reason).await?;
    has(&house.client, &item, "status", json!("claimed")).await?;
    Ok(report)
}
