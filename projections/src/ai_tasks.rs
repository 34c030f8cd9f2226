//! AI tasks, newest first by `requested_at`.
//!
//! Type and status have few values: a page that leaves one open walks its index once for each value and merges.

use roentgen_domain::Versioned;
use roentgen_domain::ai_model::TaskType;
use roentgen_domain::ai_task::{AiTask, Status};
use roentgen_domain::ids::{AiModelId, PatientId, StudyId, TenantId};
use roentgen_store::model::{Column, ColumnKind, Filter, Index, ListQuery, Model, Value};

use crate::documents::View;
use crate::sort_key;

/// `ai_tasks_v1`.
pub static MODEL: Model = Model {
    name: "ai_tasks",
    version: 1,
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

/// How a task becomes a row.
#[derive(Debug, Default)]
pub struct AiTasks;

impl View for AiTasks {
    type Aggregate = AiTask;

    const MODEL: &'static Model = &MODEL;

    fn sort_key(resource: &Versioned<AiTask>) -> Vec<u8> {
        sort_key::newest_first(resource.state.request.requested_at, resource.id.as_uuid())
    }

    fn values(resource: &Versioned<AiTask>) -> Vec<Value> {
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

/// Which tasks a page is about.
#[derive(Debug, Default)]
pub struct Filters {
    /// One study's.
    pub imaging_study_id: Option<StudyId>,
    /// One model's.
    pub ai_model_id: Option<AiModelId>,
    /// Those of one type.
    pub task_type: Option<TaskType>,
    /// Those that are so far.
    pub status: Option<Status>,
}

/// A page of tasks.
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

/// A page of one patient's tasks.
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

fn prefixes(filters: &Filters) -> Vec<Vec<(&'static str, Value)>> {
    if let Some(study) = filters.imaging_study_id {
        return vec![vec![("imaging_study_id", Value::Uuid(study.as_uuid()))]];
    }
    let model = filters.ai_model_id.map(|it| Value::Uuid(it.as_uuid()));
    let model = model.map(|it| ("ai_model_id", it));
    let types = filters
        .task_type
        .map_or(TaskType::ALL.to_vec(), |it| vec![it]);
    let statuses = filters.status.map_or(Status::ALL.to_vec(), |it| vec![it]);
    types
        .into_iter()
        .flat_map(|of| statuses.iter().map(move |it| (of, *it)))
        .map(|(of, it)| {
            let narrowed = [
                ("task_type", Value::Text(of.to_string())),
                ("status", Value::Text(it.to_string())),
            ];
            model.clone().into_iter().chain(narrowed).collect()
        })
        .collect()
}

/// What a study's prefix does not say already: a study has a handful of tasks.
fn residual(filters: &Filters) -> Vec<Filter> {
    if filters.imaging_study_id.is_none() {
        return Vec::new();
    }
    let equal = [
        (
            "ai_model_id",
            filters.ai_model_id.map(|it| Value::Uuid(it.as_uuid())),
        ),
        (
            "task_type",
            filters.task_type.map(|it| Value::Text(it.to_string())),
        ),
        (
            "status",
            filters.status.map(|it| Value::Text(it.to_string())),
        ),
    ];
    equal
        .into_iter()
        .filter_map(|(column, it)| Some(Filter::Is(column, it?)))
        .collect()
}
