//! Comparison of AI outputs with the log: a task's stream has several rows, each with the content of one event and its
//! sealed part.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use roentgen_projections::ai_outputs;
use roentgen_store::engine::Engine as Log;
use roentgen_store::keys::{Keyring, SealedPhi};
use roentgen_store::log::StoredEvent;
use roentgen_store::read_model::Row;
use roentgen_store::readers::Scope;
use serde_json::{Value, json};
use uuid::Uuid;

use super::opened;

/// Members of an event that describe its output, except the id.
const SAID: [&str; 8] = [
    "imaging_study_id",
    "patient_id",
    "ai_model_id",
    "ai_model_code",
    "task_type",
    "output_type",
    "payload",
    "ai_task_id",
];

pub(super) async fn compare(
    log: &Arc<dyn Log>,
    keyring: &Keyring,
    events: &[StoredEvent],
    rows: &mut BTreeMap<String, usize>,
) -> Result<()> {
    let mut outputs = 0;
    for event in events {
        if &*event.event_type == "ImagingAI.OutputCreated" {
            compare_row(log, keyring, event).await?;
            outputs += 1;
        }
    }
    rows.insert(ai_outputs::MODEL.schema_name(), outputs);
    Ok(())
}

async fn compare_row(log: &Arc<dyn Log>, keyring: &Keyring, event: &StoredEvent) -> Result<()> {
    let (id, document) = document_of(event)?;
    let row = log
        .live_rows(Scope::AllTenants, &ai_outputs::MODEL, &[id])
        .await?
        .pop();
    let row = row.with_context(|| format!("ai_outputs has no row of {id}"))?;
    let shown: Value = serde_json::from_str(&row.document)?;
    ensure!(shown == document, "output {shown}: {document}");
    ensure!(
        row.patient_id.map(|id| json!(id)).as_ref() == document.get("patient_id"),
        "output {id} is another patient's"
    );
    compare_sealed(keyring, event, &row).await
}

/// Returns the document, built from the event's JSON alone.
fn document_of(event: &StoredEvent) -> Result<(Uuid, Value)> {
    let data: Value = serde_json::from_str(&event.payload)?;
    let mut document = json!({
        "id": data["output_id"], "tenant_id": event.tenant_id, "version": event.version,
        "created_at": event.recorded_at(), "updated_at": event.recorded_at(),
    });
    for name in SAID {
        let shown = match name {
            "ai_task_id" => "imaging_ai_task_id",
            same => same,
        };
        if let Some(said) = data.get(name) {
            document[shown] = said.clone();
        }
    }
    let id = serde_json::from_value(data["output_id"].clone())?;
    Ok((id, document))
}

/// Checks that the sealed parts of the row and of its event decrypt to the same content.
async fn compare_sealed(keyring: &Keyring, event: &StoredEvent, row: &Row) -> Result<()> {
    let mut sealed = SealedPhi::default();
    sealed.push(event.version, &event.sealed);
    let own = Row {
        sealed: sealed.into_bytes(),
        ..row.clone()
    };
    let shown = opened(row, event.stream_id, keyring).await?;
    let said = opened(&own, event.stream_id, keyring).await?;
    ensure!(
        shown == said,
        "the PHI of output {} differs: {shown:?}, {said:?}",
        row.id
    );
    Ok(())
}
