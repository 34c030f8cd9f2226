//! Ids of one tenant, ids that do not exist, and the resources of the caller.

use anyhow::{Context as _, Result, ensure};
use roentgen_tests::TestClient;
use serde_json::{Value, json};

use crate::test_app::{TestApp, create_catalog, fresh};
use crate::workflow::full_workflow::WorkflowRecord;

/// Ids of one tenant, or ids that do not exist.
pub(super) struct Ids {
    pub(super) patient: String,
    pub(super) order: String,
    pub(super) study: String,
    pub(super) series: String,
    pub(super) endpoint: String,
    pub(super) profile: String,
    pub(super) item: String,
    pub(super) task: String,
    pub(super) output: String,
    pub(super) report: String,
    pub(super) model: String,
    pub(super) template: String,
    pub(super) procedure: String,
    pub(super) modality: String,
}

impl Ids {
    pub(super) async fn create(house: &TestApp, whole: &WorkflowRecord) -> Result<Self> {
        let first = async |path: &str| -> Result<String> {
            let ids = house.client.get(path).await?.ids();
            ids.into_iter().next().context("an empty list")
        };
        let last = |place: &str| place.rsplit('/').next().unwrap_or_default().to_owned();
        let study = last(&whole.study);
        let of_study = format!("/pacs/series?imaging_study_id={study}");
        Ok(Self {
            patient: whole.patient.to_string(),
            order: last(&whole.order),
            study,
            series: first(&of_study).await?,
            endpoint: first("/pacs/endpoints").await?,
            profile: first("/radiology/reading-profiles?is_active=false").await?,
            item: last(&whole.item),
            task: last(&whole.task),
            output: last(&whole.outputs[0]),
            report: last(&whole.report),
            model: first("/imaging-ai/models").await?,
            template: first("/radiology/templates").await?,
            procedure: house.procedure.clone(),
            modality: first("/imaging/modalities").await?,
        })
    }

    pub(super) fn unknown() -> Self {
        let id = || fresh().to_string();
        Self {
            patient: id(),
            order: id(),
            study: id(),
            series: id(),
            endpoint: id(),
            profile: id(),
            item: id(),
            task: id(),
            output: id(),
            report: id(),
            model: id(),
            template: id(),
            procedure: id(),
            modality: id(),
        }
    }
}

/// Resources of the caller, for the rest of a request in which one id belongs to another tenant. They have no patient
/// attributes, so that no lookup of the caller's keys falls into a measurement.
pub(super) struct Own {
    pub(super) patient: String,
    pub(super) procedure: String,
    pub(super) model: String,
    pub(super) study: String,
    pub(super) report: String,
}

impl Own {
    pub(super) async fn furnish(client: &TestClient) -> Result<Self> {
        let procedure = create_catalog(client).await?;
        let archive = json!({ "code": "MAIN", "name": "Main archive", "protocol": "DICOMWEB" });
        made(client, "/pacs/endpoints", archive).await?;
        // Made for other images, so that policies create no tasks for it.
        let model = json!({ "code": "M", "name": "M", "modality_code": "MR",
            "capabilities": { "triage": true } });
        let model = made(client, "/imaging-ai/models", model).await?;
        let patient = fresh().to_string();
        let study = json!({ "pacs_endpoint_code": "MAIN", "patient_id": patient,
            "modality_code": "CT", "study_instance_uid": uid() });
        let study = made(client, "/pacs/studies/sync", study).await?;
        let report = json!({ "imaging_study_id": study, "patient_id": patient });
        let report = made(client, "/radiology/reports", report).await?;
        Ok(Self {
            patient,
            procedure,
            model,
            study,
            report,
        })
    }

    pub(super) fn unknown() -> Self {
        let id = || fresh().to_string();
        Self {
            patient: id(),
            procedure: id(),
            model: id(),
            study: id(),
            report: id(),
        }
    }
}

/// Returns a unique UID.
pub(super) fn uid() -> String {
    format!("2.25.{}", fresh().as_u128())
}

async fn made(client: &TestClient, path: &str, body: Value) -> Result<String> {
    let made = client.post(path, &body).await?;
    ensure!(made.status == 201, "{path}: {made:?}");
    Ok(made.text_at("/id"))
}
