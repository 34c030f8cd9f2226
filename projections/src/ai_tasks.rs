//! Read model of AI tasks, newest first by `requested_at`.
//!
//! Type and status have few values. If a filter on one of them is absent, a page reads one index range per value and
//! merges the ranges.

use roentgen_domain::Versioned;
use roentgen_domain::ai_model::TaskType;
use roentgen_domain::ai_task::{AiTask, Status};
use roentgen_domain::ids::{AiModelId, PatientId, StudyId, TenantId};
use roentgen_store::read_model::{Column, ColumnKind, Filter, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks::{self, ColumnEquals};

/// Table `ai_tasks_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "ai_tasks",
    version: 2,
    columns: &[
        Column {
            name: "of_patient",
            kind: ColumnKind::Uuid,
        },
        Column {
            name: "imaging_study_id",
            kind: ColumnKind::Uuid,
        },
        Column {
            name: "ai_model_id",
            kind: ColumnKind::Uuid,
        },
        Column {
            name: "task_type",
            kind: ColumnKind::Text,
        },
        Column {
            name: "status",
            kind: ColumnKind::Text,
        },
    ],
    indexes: &[
        Index {
            columns: &["of_patient"],
            sparse: false,
        },
        Index {
            columns: &["imaging_study_id"],
            sparse: false,
        },
        Index {
            columns: &["ai_model_id", "task_type", "status"],
            sparse: false,
        },
        Index {
            columns: &["task_type", "status"],
            sparse: false,
        },
    ],
};

/// Projection of AI tasks.
#[derive(Debug, Default)]
pub struct AiTasks;

impl ResourceView for AiTasks {
    type Aggregate = AiTask;

    const MODEL: &'static ReadModel = &MODEL;

    fn sort_key(resource: &Versioned<AiTask>) -> Vec<u8> {
        sort_key::newest_first(resource.state.request.requested_at, resource.id.as_uuid())
    }

    fn column_values(resource: &Versioned<AiTask>) -> Vec<Value> {
        let request = &resource.state.request;
        vec![
            Value::Uuid(request.patient_id.as_uuid()),
            Value::Uuid(request.imaging_study_id.as_uuid()),
            Value::Uuid(request.ai_model_id.as_uuid()),
            Value::Text(request.task_type.to_string()),
            Value::Text(resource.state.progress.status().to_string()),
        ]
    }
}

/// Filters of the list.
#[derive(Debug, Default)]
pub struct Filters {
    /// Study of the task.
    pub imaging_study_id: Option<StudyId>,
    /// AI model of the task.
    pub ai_model_id: Option<AiModelId>,
    /// Type of the task.
    pub task_type: Option<TaskType>,
    /// Status of the task.
    pub status: Option<Status>,
}

/// Returns the query for a page of AI tasks.
pub fn page(
    tenant_id: TenantId,
    filters: &Filters,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    ListQuery {
        prefixes: prefixes(filters),
        filters: residual(filters),
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}

/// Returns the query for a page of a patient's AI tasks.
pub fn of_patient(
    tenant_id: TenantId,
    patient: PatientId,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    ListQuery {
        prefixes: vec![vec![("of_patient", Value::Uuid(patient.as_uuid()))]],
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}

fn prefixes(filters: &Filters) -> Vec<Vec<ColumnEquals>> {
    if let Some(study) = filters.imaging_study_id {
        return vec![vec![("imaging_study_id", Value::Uuid(study.as_uuid()))]];
    }
    walks::prefixes(
        model(filters).as_slice(),
        &[
            walks::words("task_type", filters.task_type, TaskType::ALL),
            walks::words("status", filters.status, Status::ALL),
        ],
    )
}

fn model(filters: &Filters) -> Option<ColumnEquals> {
    let model = filters.ai_model_id?;
    Some(("ai_model_id", Value::Uuid(model.as_uuid())))
}

/// Returns the row filters that a study's prefix does not cover. A study has only a few tasks.
fn residual(filters: &Filters) -> Vec<Filter> {
    if filters.imaging_study_id.is_none() {
        return Vec::new();
    }
    let task_type = filters.task_type.map(|word| Value::Text(word.to_string()));
    let status = filters.status.map(|word| Value::Text(word.to_string()));
    walks::residual([
        model(filters),
        task_type.map(|word| ("task_type", word)),
        status.map(|word| ("status", word)),
    ])
}
