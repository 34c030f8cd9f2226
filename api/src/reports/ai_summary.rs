//! What AI models say of a study, for the radiologist who reports on it.
//!
//! A summary is a suggestion: nothing is decided by it, so it is taken from the read models before the report is begun,
//! once they show what this node answered for. A result that comes later is read where results are, and kept in the
//! report by whoever writes it.

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

/// How long a command waits for the read models.
const READ_MODEL_TIMEOUT: Duration = Duration::from_secs(2);
/// The most results that a summary is made of.
const MAX_RESULTS: u32 = 100;

/// What the completed tasks on a study say, in a line or more for each result, oldest first. A result that is damaged
/// is left out: a report can be begun without it.
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

/// The text, cut at what a text may hold.
fn truncate(text: &str) -> Option<PhiText> {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end)?.trim_end();
    Text::parse(text).ok().map(PhiText::new)
}

/// One result in words: `ICH_TRIAGE (triage): score 0.92; ICH_suspected, mass_effect`.
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

/// A member of a payload in words. Members that no type names are left to who reads the result itself.
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

/// The study that an output is about; 404 where there is no such output.
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
