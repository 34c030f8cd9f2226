//! Catalog that the workflows need.

use serde_json::{Value, json};

use super::client::{DemoClient, DemoStep, id};
use super::users::{COLLEAGUE, DemoUsers, RADIOLOGIST};

/// Catalog ids used by the workflows.
#[derive(Debug)]
pub(super) struct DemoCatalog {
    pub(super) head: String,
    pub(super) chest: String,
    pub(super) template: String,
    pub(super) chest_model: String,
}

pub(super) async fn create_catalog(
    client: &DemoClient,
    cast: &DemoUsers,
) -> anyhow::Result<DemoCatalog> {
    println!("\nThe catalog\n");
    let modality = json!({ "code": "CT", "name": "Computed tomography" });
    let modality = create(client, cast, "a modality", "/imaging/modalities", &modality).await?;
    let head = procedure(client, cast, &modality, "HEAD").await?;
    let chest = procedure(client, cast, &modality, "CHEST").await?;
    let pacs = json!({
        "code": "MAIN_PACS", "name": "Main PACS", "ae_title": "MAINPACS", "protocol": "DICOMWEB",
        "base_url": "https://pacs.example/dicom-web",
        "auth_config": { "kind": "bearer", "token": "known to the PACS and to nobody who reads here" },
        "viewer_launch_url": "https://viewer.example/?study={study_instance_uid}&token={token}",
    });
    create(client, cast, "a PACS endpoint", "/pacs/endpoints", &pacs).await?;
    let template = create(
        client,
        cast,
        "a template",
        "/radiology/templates",
        &template(),
    )
    .await?;
    profiles(client, cast).await?;
    let chest_model = models(client, cast).await?;
    Ok(DemoCatalog {
        head,
        chest,
        template,
        chest_model,
    })
}

async fn create(
    client: &DemoClient,
    cast: &DemoUsers,
    what: &str,
    path: &str,
    body: &Value,
) -> anyhow::Result<String> {
    let says = format!("adds {what}");
    id(&client
        .post(DemoStep::create(&cast.admin, &says), path, body)
        .await?)
}

async fn procedure(
    client: &DemoClient,
    cast: &DemoUsers,
    modality: &str,
    body_part: &str,
) -> anyhow::Result<String> {
    let body = json!({
        "code": format!("CT_{body_part}_WO_CONTRAST"), "name": format!("CT {body_part} without contrast"),
        "modality_id": modality, "body_part": body_part, "default_duration_minutes": 15,
    });
    create(client, cast, "a procedure", "/imaging/procedures", &body).await
}

fn template() -> Value {
    json!({
        "code": "CT_HEAD_STROKE", "name": "CT head, stroke", "modality_code": "CT", "body_part": "HEAD",
        "template_type": "hybrid",
        "schema": {
            "type": "object", "required": ["hemorrhage"],
            "properties": { "hemorrhage": { "type": "boolean" }, "midline_shift_mm": { "type": "number" } },
        },
        "default_text": { "technique": "Axial CT of the head without contrast." },
    })
}

/// Creates reading profiles. The first radiologist's limit is one case, which shows the limit in effect.
async fn profiles(client: &DemoClient, cast: &DemoUsers) -> anyhow::Result<()> {
    for (practitioner, limit) in [(RADIOLOGIST, 1), (COLLEAGUE, 5)] {
        let body = json!({
            "practitioner_id": practitioner, "allowed_modalities": ["CT"], "max_concurrent_cases": limit,
        });
        let path = "/radiology/reading-profiles";
        create(client, cast, "a reading profile", path, &body).await?;
    }
    Ok(())
}

async fn models(client: &DemoClient, cast: &DemoUsers) -> anyhow::Result<String> {
    let head = json!({
        "code": "CT_HEAD_ICH_TRIAGE", "name": "Intracranial hemorrhage", "modality_code": "CT", "body_part": "HEAD",
        "capabilities": { "triage": true, "pre_report": true },
        "endpoint_config": { "url": "https://inference.example/ich", "auth": { "kind": "bearer", "token": "sealed" } },
    });
    let chest = json!({
        "code": "CT_CHEST_ASSIST", "name": "Chest assistant", "modality_code": "CT", "body_part": "CHEST",
        "capabilities": { "triage": true, "quality": true, "pre_report": true, "segmentation": true },
    });
    create(client, cast, "an AI model", "/imaging-ai/models", &head).await?;
    create(client, cast, "another", "/imaging-ai/models", &chest).await
}
