//! Timeline of a patient, newest first: orders, studies, reports and AI tasks, each from its read model.
//!
//! The timeline has no table. The sort keys of its read models have the same form, time and id, so that a page of the
//! timeline is the merge of one page of each.

use roentgen_domain::ai_task::AiTask;
use roentgen_domain::ids::{PatientId, StudyId, TenantId};
use roentgen_domain::order::Order;
use roentgen_domain::report::Report;
use roentgen_domain::study::Study;
use roentgen_domain::{Timestamp, Versioned};
use roentgen_store::read_model::{ListQuery, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{ai_tasks, orders, reports, studies};

/// Kind of a timeline entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Imaging order, at the time of the request.
    Order,
    /// Study, at its start, or when it was created if the start is unknown.
    Study,
    /// Report, at its creation.
    Report,
    /// AI task, at the time of the request.
    AiTask,
}

roentgen_domain::wire_enum! {
    EntryKind: Order = "order", Study = "study", Report = "report", AiTask = "ai_task";
}

/// Entry of the timeline; contains no PHI.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Kind of the resource.
    pub kind: EntryKind,
    /// Id of the resource.
    pub id: Uuid,
    /// Time of the entry.
    pub at: Timestamp,
    /// Display title.
    pub title: String,
    /// Status of the resource.
    pub status: String,
    /// Study of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaging_study_id: Option<StudyId>,
    /// Accession number of order or study.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accession_number: Option<String>,
    /// Modality of order or study.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality_code: Option<String>,
    /// Whether the report is critical, as far as the caller may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical_result: Option<bool>,
}

/// Content that the caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimelineScope {
    /// All content, including drafts and AI tasks.
    Full,
    /// Released content only, without AI tasks.
    ReleasedOnly,
}

/// Returns the query for a page of each read model that the caller may see.
pub fn pages(
    tenant: TenantId,
    patient: PatientId,
    reader: TimelineScope,
    after: Option<&Vec<u8>>,
    limit: u32,
) -> Vec<(EntryKind, ListQuery)> {
    let ordered = orders::Filters {
        patient_id: Some(patient),
        ..orders::Filters::default()
    };
    let imaged = studies::Filters {
        patient_id: Some(patient),
        ..studies::Filters::default()
    };
    let reported = reports::Filters {
        released_only: reader == TimelineScope::ReleasedOnly,
        patient_id: Some(patient),
        ..reports::Filters::default()
    };
    let after = || after.cloned();
    let mut pages = vec![
        (
            EntryKind::Order,
            orders::page(tenant, &ordered, after(), limit),
        ),
        (
            EntryKind::Study,
            studies::page(tenant, &imaged, after(), limit),
        ),
        (
            EntryKind::Report,
            reports::page(tenant, &reported, after(), limit),
        ),
    ];
    if reader == TimelineScope::Full {
        let asked = ai_tasks::of_patient(tenant, patient, after(), limit);
        pages.push((EntryKind::AiTask, asked));
    }
    pages
}

/// Returns the timeline entry of a row, with the content that the caller may see.
///
/// # Errors
/// [`serde_json::Error`] if the document of the row is malformed.
pub fn entry(
    kind: EntryKind,
    reader: TimelineScope,
    row: &Row,
) -> Result<Entry, serde_json::Error> {
    Ok(match kind {
        EntryKind::Order => order(&document(row)?),
        EntryKind::Study => study(&document(row)?),
        EntryKind::Report => report(&document(row)?, reader),
        EntryKind::AiTask => ai_task(&document(row)?),
    })
}

fn document<A: DeserializeOwned>(row: &Row) -> Result<Versioned<A>, serde_json::Error> {
    serde_json::from_str(&row.document)
}

fn order(order: &Versioned<Order>) -> Entry {
    let request = &order.state.request;
    Entry {
        kind: EntryKind::Order,
        id: order.id.as_uuid(),
        at: request.requested_at,
        title: request.procedure_name.to_string(),
        status: order.state.progress.status().to_string(),
        imaging_study_id: None,
        accession_number: Some(request.accession_number.to_string()),
        modality_code: Some(request.modality_code.to_string()),
        critical_result: None,
    }
}

fn study(study: &Versioned<Study>) -> Entry {
    let details = &study.state.details;
    let described = details.description.as_ref();
    let accession = details.accession_number.as_ref();
    Entry {
        kind: EntryKind::Study,
        id: study.id.as_uuid(),
        at: details.started_at.unwrap_or(study.created_at),
        title: described.map_or_else(
            || format!("{} study", details.modality_code),
            ToString::to_string,
        ),
        status: study.state.status.to_string(),
        imaging_study_id: Some(study.id.into()),
        accession_number: accession.map(ToString::to_string),
        modality_code: Some(details.modality_code.to_string()),
        critical_result: None,
    }
}

fn report(report: &Versioned<Report>, reader: TimelineScope) -> Entry {
    let state = &report.state;
    Entry {
        kind: EntryKind::Report,
        id: report.id.as_uuid(),
        at: report.created_at,
        title: "Radiology report".to_owned(),
        status: state.status().to_string(),
        imaging_study_id: Some(state.imaging_study_id),
        accession_number: None,
        modality_code: None,
        critical_result: match reader {
            TimelineScope::Full => Some(state.critical_result),
            TimelineScope::ReleasedOnly => state.released_critical_result(),
        },
    }
}

fn ai_task(task: &Versioned<AiTask>) -> Entry {
    let request = &task.state.request;
    Entry {
        kind: EntryKind::AiTask,
        id: task.id.as_uuid(),
        at: request.requested_at,
        title: format!("{} by {}", request.task_type, request.ai_model_code),
        status: task.state.progress.status().to_string(),
        imaging_study_id: Some(request.imaging_study_id),
        accession_number: None,
        modality_code: None,
        critical_result: None,
    }
}
