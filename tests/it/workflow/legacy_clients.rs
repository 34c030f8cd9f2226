//! Unchanged clients of the predecessor system: each body and each query names its tenant, an addendum names its report
//! and its author, a worker sends its status in the query.

use anyhow::Result;
use reqwest::Method;
use roentgen_tests::{EngineKind, TestClient, TestResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixtures::{becomes, done, has};
use crate::assertions::log_head;
use crate::test_app::{TestApp, fresh, on_both_engines, with};

on_both_engines!(
    its_clients_are_understood_from_the_order_to_the_addendum,
    and_a_tenant_that_is_not_their_own_is_refused_everywhere,
);

const ACCESSION: &str = "ACC123456";

/// Client that adds the tenant to every request.
struct LegacyClient<'a> {
    client: &'a TestClient,
    tenant: Uuid,
}

impl LegacyClient<'_> {
    async fn send(&self, method: Method, path: &str, body: Value) -> Result<TestResponse> {
        let body = with(body, json!({ "tenant_id": self.tenant })).to_string();
        self.client.send(method, path, body.into()).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<TestResponse> {
        Ok(done(self.send(Method::POST, path, body).await?))
    }

    async fn patch(&self, path: &str, body: Value) -> Result<TestResponse> {
        Ok(done(self.send(Method::PATCH, path, body).await?))
    }

    async fn get(&self, path: &str) -> Result<TestResponse> {
        let and = if path.contains('?') { '&' } else { '?' };
        self.client
            .get(&format!("{path}{and}tenant_id={}", self.tenant))
            .await
    }
}

async fn its_clients_are_understood_from_the_order_to_the_addendum(
    engine: EngineKind,
) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let (radiologist, reader) = colleague(&house)?;
    let [admin, reader] = [&house.client, &reader].map(|client| LegacyClient {
        client,
        tenant: house.tenant,
    });
    let patient = fresh();
    let order = ordered(&admin, patient).await?;
    let study = synced(&admin, patient).await?;
    has(&house.client, &order, "status", json!("completed")).await?;
    triaged(&admin, &study).await?;
    let item = claimed(&admin, &reader, radiologist, &study).await?;
    let report = reported(&reader, radiologist, patient, &study).await?;
    has(&house.client, &item, "status", json!("completed")).await?;

    for (list, count) in [
        (format!("/imaging/orders?accession_number={ACCESSION}"), 1),
        (format!("/pacs/studies?patient_id={patient}"), 1),
        (format!("/imaging-ai/outputs?imaging_study_id={study}"), 1),
        (
            format!("/radiology/reports?radiologist_id={radiologist}"),
            1,
        ),
        (format!("{report}/addenda"), 1),
    ] {
        let listed = done(admin.get(&list).await?);
        assert_eq!(listed.ids().len(), count, "{list}: {listed:?}");
    }
    let mine = format!(
        "/radiology/worklist/items?status=all&current_radiologist_id={radiologist}&assigned_to_me=true"
    );
    assert_eq!(done(reader.get(&mine).await?).ids().len(), 1);
    Ok(())
}

/// Returns a radiologist of this tenant, with the practitioner's id.
fn colleague(house: &TestApp) -> Result<(Uuid, TestClient)> {
    let id = fresh();
    Ok((id, house.practitioner(id, "radiologist")?))
}

async fn ordered(admin: &LegacyClient<'_>, patient: Uuid) -> Result<String> {
    let modality = json!({ "code": "MR", "name": "Magnetic resonance" });
    let modality = admin.post("/imaging/modalities", modality).await?;
    let procedure = json!({ "code": "MR_BRAIN", "name": "MR brain", "body_part": "HEAD",
        "modality_id": modality.text_at("/id"), "default_duration_minutes": 30 });
    let procedure = admin.post("/imaging/procedures", procedure).await?;
    let order = json!({ "patient_id": patient, "imaging_procedure_id": procedure.text_at("/id"),
        "indication": "rule out acute stroke", "priority": "stat", "accession_number": ACCESSION,
        "encounter_id": fresh(), "ordering_practitioner_id": fresh() });
    let place = admin
        .post("/imaging/orders", order)
        .await?
        .header("location");
    let scheduled = json!({ "status": "scheduled", "scheduled_slot_id": fresh() });
    admin.patch(&place, scheduled).await?;
    Ok(place)
}

/// Syncs the study and returns its id.
async fn synced(admin: &LegacyClient<'_>, patient: Uuid) -> Result<String> {
    let archive = json!({ "code": "MAIN", "name": "Main archive", "protocol": "DICOMWEB",
        "auth_config": { "kind": "basic", "username": "roentgen", "password": "not this one" } });
    admin.post("/pacs/endpoints", archive).await?;
    let model = json!({ "code": "MR_STROKE", "name": "Stroke triage", "modality_code": "MR",
        "capabilities": { "triage": true }, "vendor": "someone", "version": "2.1" });
    admin.post("/imaging-ai/models", model).await?;
    let uid = || format!("2.25.{}", fresh().as_u128());
    let study = json!({ "pacs_endpoint_code": "MAIN", "study_instance_uid": uid(),
        "patient_id": patient, "modality_code": "MR", "accession_number": ACCESSION,
        "series": [{ "series_instance_uid": uid(), "series_number": 1, "number_of_instances": 50 }] });
    let study = admin
        .post("/pacs/studies/sync", study)
        .await?
        .text_at("/id");
    let series = json!({ "imaging_study_id": study, "series_instance_uid": uid() });
    let series = admin.post("/pacs/series", series).await?.text_at("/id");
    let instance = json!({ "imaging_series_id": series, "sop_instance_uid": uid() });
    admin.post("/pacs/instances", instance).await?;
    let counted = json!({ "number_of_series": 3, "number_of_instances": 150 });
    admin
        .patch(&format!("/pacs/studies/{study}"), counted)
        .await?;
    Ok(study)
}

/// Finds the worker's task and sends its status in the query, without a body.
async fn triaged(admin: &LegacyClient<'_>, study: &str) -> Result<()> {
    let list = format!("/imaging-ai/tasks?imaging_study_id={study}");
    let one = |value: &Value| value.as_array().is_some_and(|values| values.len() == 1);
    let task = becomes(admin.client, &list, one).await?[0]["id"].clone();
    let task = task.as_str().unwrap_or_default();
    for status in ["running", "completed"] {
        let told = format!(
            "/imaging-ai/tasks/{task}/status?status={status}&tenant_id={}",
            admin.tenant
        );
        let told = admin.client.send(Method::PATCH, &told, Vec::new()).await?;
        assert_eq!(done(told).text_at("/status"), status);
        if status == "running" {
            let output = json!({ "imaging_ai_task_id": task, "output_type": "triage",
                "payload": { "triage_score": 0.92, "flags": ["ICH_suspected", "mass_effect"] } });
            admin.post("/imaging-ai/outputs", output).await?;
        }
    }
    Ok(())
}

/// Claims the study's item as the radiologist, checks the model's result on it, and returns its path.
async fn claimed(
    admin: &LegacyClient<'_>,
    reader: &LegacyClient<'_>,
    radiologist: Uuid,
    study: &str,
) -> Result<String> {
    let profile = json!({ "practitioner_id": radiologist, "allowed_modalities": ["MR"],
        "max_concurrent_cases": 1 });
    let profile = admin.post("/radiology/reading-profiles", profile).await?;
    let profile = profile.header("location");
    let more = json!({ "max_concurrent_cases": 2 });
    let changed = admin.send(Method::PUT, &profile, more);
    done(changed.await?);
    let list = format!("/radiology/worklist/items?imaging_study_id={study}");
    let triaged =
        |value: &Value| value[0]["ai_triage_score"] == 0.92 && value[0]["priority"] == "stat";
    let item = becomes(admin.client, &list, triaged).await?[0]["id"].clone();
    let item = format!(
        "/radiology/worklist/items/{}",
        item.as_str().unwrap_or_default()
    );
    let oneself = json!({ "radiologist_id": radiologist });
    for step in ["claim", "release", "claim"] {
        reader
            .post(&format!("{item}/{step}"), oneself.clone())
            .await?;
    }
    reader
        .patch(&item, json!({ "status": "in_progress" }))
        .await?;
    Ok(item)
}

/// Creates, signs, communicates and extends a report, and returns its path.
async fn reported(
    reader: &LegacyClient<'_>,
    radiologist: Uuid,
    patient: Uuid,
    study: &str,
) -> Result<String> {
    let report = json!({ "imaging_study_id": study, "patient_id": patient,
        "radiologist_id": radiologist, "findings": "Large left MCA territory infarct" });
    let report = reader.post("/radiology/reports", report).await?;
    let id = report.text_at("/id");
    let report = report.header("location");
    let impression = json!({ "impression": "Acute stroke", "critical_result": true });
    reader.patch(&report, impression).await?;
    let signing = json!({ "signed_by_radiologist_id": radiologist });
    reader.post(&format!("{report}/sign"), signing).await?;
    let told = json!({ "recipient": "the ward", "method": "phone", "read_back": true,
        "communicated_at": "2026-01-31T08:15:00Z" });
    reader
        .post(&format!("{report}/communications"), told)
        .await?;
    let addendum = json!({ "content": "Seen with neurology", "radiology_report_id": id,
        "added_by_radiologist_id": radiologist });
    reader.post(&format!("{report}/addenda"), addendum).await?;
    Ok(report)
}

async fn and_a_tenant_that_is_not_their_own_is_refused_everywhere(
    engine: EngineKind,
) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let order = house.create_order_in_status("requested").await?;
    let before = log_head(&house.client).await?;
    let stranger = LegacyClient {
        client: &house.client,
        tenant: fresh(),
    };
    for (path, body) in bodies() {
        let refused = stranger.send(Method::POST, path, body).await?;
        assert_eq!(refused.status, 403, "{path}: {refused:?}");
    }
    let refused = stranger.send(Method::PATCH, &order, json!({ "status": "scheduled" }));
    assert_eq!(refused.await?.status, 403);
    let told = format!("/imaging-ai/tasks/{}/status?status=running", fresh());
    let told = format!("{told}&tenant_id={}", stranger.tenant);
    let refused = house.client.send(Method::PATCH, &told, Vec::new()).await?;
    assert_eq!(refused.status, 403, "{refused:?}");
    for list in LISTS {
        let refused = stranger.get(list).await?;
        assert_eq!(refused.status, 403, "{list}: {refused:?}");
    }
    assert_eq!(log_head(&house.client).await?, before);
    Ok(())
}

const LISTS: [&str; 15] = [
    "/imaging/modalities",
    "/imaging/procedures",
    "/imaging/orders",
    "/pacs/endpoints",
    "/pacs/studies",
    "/pacs/series",
    "/pacs/instances",
    "/radiology/reading-profiles",
    "/radiology/worklist/items",
    "/radiology/templates",
    "/radiology/reports",
    "/radiology/critical-results",
    "/imaging-ai/models",
    "/imaging-ai/tasks",
    "/imaging-ai/outputs",
];

/// Returns bodies that would be accepted, or lack a referenced resource, if the tenant were right.
fn bodies() -> Vec<(&'static str, Value)> {
    let id = fresh();
    let uid = format!("2.25.{}", fresh().as_u128());
    vec![
        (
            "/imaging/modalities",
            json!({ "code": "US", "name": "Ultrasound" }),
        ),
        (
            "/imaging/procedures",
            json!({ "code": "US_LEG", "name": "US leg", "modality_id": id }),
        ),
        (
            "/imaging/orders",
            json!({ "patient_id": id, "imaging_procedure_id": id, "indication": "pain" }),
        ),
        (
            "/pacs/endpoints",
            json!({ "code": "MAIN", "name": "Main", "protocol": "DICOM" }),
        ),
        (
            "/pacs/studies/sync",
            json!({ "pacs_endpoint_code": "MAIN", "study_instance_uid": uid, "patient_id": id,
                "modality_code": "CT" }),
        ),
        (
            "/pacs/series",
            json!({ "imaging_study_id": id, "series_instance_uid": uid }),
        ),
        (
            "/pacs/instances",
            json!({ "imaging_series_id": id, "sop_instance_uid": uid }),
        ),
        (
            "/radiology/reading-profiles",
            json!({ "practitioner_id": id }),
        ),
        (
            "/radiology/worklist/items",
            json!({ "imaging_study_id": id, "patient_id": id, "modality_code": "CT" }),
        ),
        (
            "/radiology/templates",
            json!({ "code": "FREE", "name": "Free", "template_type": "free_text" }),
        ),
        (
            "/radiology/reports",
            json!({ "imaging_study_id": id, "patient_id": id }),
        ),
        (
            "/imaging-ai/models",
            json!({ "code": "M", "name": "A model", "capabilities": { "triage": true } }),
        ),
        (
            "/imaging-ai/tasks",
            json!({ "imaging_study_id": id, "ai_model_id": id, "task_type": "triage" }),
        ),
        (
            "/imaging-ai/outputs",
            json!({ "imaging_ai_task_id": id, "output_type": "triage",
                "payload": { "triage_score": 0.1, "flags": [] } }),
        ),
    ]
}
