//! Summary of a study's AI results, for the radiologist who reports on the study.
//!
//! A summary is a suggestion and decides nothing. It is therefore read from the read models before the draft is
//! created, once they show what this node has acknowledged. A later result is read with the other AI results, and
//! retained in the report by its author.

use std::collections::BTreeSet;
use std::time::Duration;

use roentgen_domain::ai_task::Status;
use roentgen_domain::ids::{AiOutputId, StudyId, TenantId};
use roentgen_domain::phi::PhiText;
use roentgen_domain::text::{MAX_TEXT_BYTES, Text};
use roentgen_projections::{ai_outputs, ai_tasks};
use roentgen_store::read_model::Row;
use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;

use crate::ai_outputs::render_if_readable;
use crate::app::App;
use crate::logged;
use crate::problem::Problem;

/// Maximum time that a command waits for the read models.
const READ_MODEL_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of results in a summary.
const MAX_RESULTS: u32 = 100;

/// Summarises the results of completed tasks on a study, one or more lines per result, oldest first. Unreadable results
/// are left out: a draft can be created without them.
pub(super) async fn summary(
    app: &App,
    tenant: TenantId,
    study: StudyId,
) -> Result<Option<PhiText>, Problem> {
    wait_for_read_models(app, tenant).await?;
    let completed = completed(app, tenant, study).await?;
    let outputs = ai_outputs::Filters {
        imaging_study_id: Some(study),
        ..ai_outputs::Filters::default()
    };
    let rows = ai_outputs::page(tenant, &outputs, None, MAX_RESULTS);
    let mut rows = app.reads(tenant).list(&rows).await?;
    rows.reverse();
    let mut text = String::new();
    for row in rows.into_iter().filter(|row| is_of(row, &completed)) {
        if let Some(output) = render_if_readable(app, &row).await? {
            let output = serde_json::from_str(&output).unwrap_or_default();
            text.extend(describe_result(&output));
        }
    }
    Ok(truncate(&text))
}

async fn wait_for_read_models(app: &App, tenant: TenantId) -> Result<(), Problem> {
    logged::fits_models(app)?;
    let wanted = app.store.appender.read_watermarks().position(tenant);
    app.progress
        .wait_for(wanted, Instant::now() + READ_MODEL_TIMEOUT)
        .await;
    Ok(())
}

async fn completed(app: &App, tenant: TenantId, study: StudyId) -> Result<BTreeSet<Uuid>, Problem> {
    let tasks = ai_tasks::Filters {
        imaging_study_id: Some(study),
        status: Some(Status::Completed),
        ..ai_tasks::Filters::default()
    };
    let rows = ai_tasks::page(tenant, &tasks, None, MAX_RESULTS);
    let rows = app.reads(tenant).list(&rows).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

fn is_of(output: &Row, tasks: &BTreeSet<Uuid>) -> bool {
    ai_outputs::task_of(output).is_some_and(|id| tasks.contains(&id.as_uuid()))
}

/// Cuts the text at the maximum length of a text.
fn truncate(text: &str) -> Option<PhiText> {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end)?.trim_end();
    Text::parse(text).ok().map(PhiText::new)
}

/// Formats one result: `ICH_TRIAGE (triage): ICH_suspected, mass_effect; score 0.92`.
fn describe_result(output: &Map<String, Value>) -> Option<String> {
    let word = |name: &str| output.get(name).and_then(Value::as_str);
    let payload = output.get("payload")?.as_object()?;
    let parts: Vec<String> = payload
        .iter()
        .filter_map(|(name, payload)| describe_member(name, payload))
        .collect();
    let model = word("ai_model_code")?;
    let task = word("output_type")?;
    Some(format!("{model} ({task}): {}\n", parts.join("; ")))
}

/// Formats one member of a payload. Members that no output type defines are left out; readers find them in the result.
fn describe_member(name: &str, value: &Value) -> Option<String> {
    match (name, value) {
        ("triage_score" | "score", Value::Number(score)) => Some(format!("score {score}")),
        ("flags" | "issues", Value::Array(words)) => {
            let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
            (!words.is_empty()).then(|| words.join(", "))
        }
        ("findings" | "boxes", Value::Array(found)) => {
            let found: Vec<_> = found.iter().filter_map(labelled).collect();
            (!found.is_empty()).then(|| found.join(", "))
        }
        ("findings" | "impression" | "summary" | "reference", Value::String(text)) => {
            Some(format!("{name}: {text}"))
        }
        _ => None,
    }
}

fn labelled(finding: &Value) -> Option<String> {
    let label = finding.get("label")?.as_str()?;
    Some(match finding.get("confidence") {
        Some(confidence) => format!("{label} ({confidence})"),
        None => label.to_owned(),
    })
}

/// Returns the study of an output, or 404 if the output does not exist.
pub(super) async fn study_of(
    app: &App,
    tenant: TenantId,
    output: AiOutputId,
) -> Result<StudyId, Problem> {
    wait_for_read_models(app, tenant).await?;
    let reads = app.reads(tenant);
    let ids = [output.as_uuid()];
    let rows = reads.rows(&ai_outputs::MODEL, &ids).await?;
    let study = rows.first().and_then(ai_outputs::study_of);
    study.ok_or_else(Problem::not_found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(output_type: &str, payload: Value) -> Option<String> {
        let output = json!({"ai_model_code": "M", "output_type": output_type, "payload": payload});
        describe_result(output.as_object().unwrap())
    }

    #[test]
    fn a_result_is_said_in_a_line() {
        for (output_type, payload, line) in [
            (
                "triage",
                json!({"triage_score": 0.92, "flags": ["ICH_suspected", "mass_effect"]}),
                "M (triage): ICH_suspected, mass_effect; score 0.92\n",
            ),
            (
                "quality",
                json!({"score": 0.8, "issues": []}),
                "M (quality): score 0.8\n",
            ),
            (
                "finding_list",
                json!({"findings": [{"label": "nodule", "confidence": 0.7, "code": "x"}], "more": {}}),
                "M (finding_list): nodule (0.7)\n",
            ),
            (
                "suggested_report",
                json!({"findings": "lungs clear", "impression": "normal"}),
                "M (suggested_report): findings: lungs clear; impression: normal\n",
            ),
        ] {
            assert_eq!(words(output_type, payload).as_deref(), Some(line));
        }
        assert_eq!(describe_result(&Map::new()), None, "an erased patient's");
    }

    #[test]
    fn a_summary_is_no_longer_than_a_text() {
        let long = "ä".repeat(MAX_TEXT_BYTES);
        let kept = truncate(&format!("a{long}")).unwrap();
        assert_eq!(kept.expose().as_str().len(), MAX_TEXT_BYTES - 1);
        assert!(truncate("\n").is_none());
    }
}
