//! Read model of AI outputs, newest first: one row per `ImagingAI.OutputCreated` in a task's stream, which never
//! changes.

use std::collections::HashMap;
use std::sync::Arc;

use roentgen_domain::ai_task::{AiOutput, AiTask, Event, OutputCreated, OutputType};
use roentgen_domain::growth::Size;
use roentgen_domain::ids::{AiTaskId, StreamId, StudyId, TenantId};
use roentgen_domain::{Aggregate, Versioned};
use roentgen_store::codec;
use roentgen_store::keys::SealedPhi;
use roentgen_store::log::StoredEvent;
use roentgen_store::projection::{MultiFoldResult, MultiRowProjection, Projection, ProjectionKind};
use roentgen_store::read_model::{Column, ColumnKind, Index, ListQuery, ReadModel, Row, Value};
use uuid::Uuid;

use crate::resource_projection::row_document;
use crate::sort_key;
use crate::walks::{self, ColumnEquals};

/// Table `ai_outputs_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "ai_outputs",
    version: 2,
    columns: &[
        Column {
            name: "imaging_ai_task_id",
            kind: ColumnKind::Uuid,
        },
        Column {
            name: "imaging_study_id",
            kind: ColumnKind::Uuid,
        },
        Column {
            name: "output_type",
            kind: ColumnKind::Text,
        },
    ],
    indexes: &[
        Index {
            columns: &["imaging_ai_task_id"],
            sparse: false,
        },
        Index {
            columns: &["imaging_study_id"],
            sparse: false,
        },
        Index {
            columns: &["output_type"],
            sparse: false,
        },
    ],
};

/// Table `ai_outputs_streams_v2`.
static PROGRESS: ReadModel = ReadModel {
    name: "ai_outputs_streams",
    version: 2,
    columns: &[],
    indexes: &[],
};

/// Projection of AI outputs.
#[derive(Debug, Default)]
pub struct AiOutputs;

impl Projection for AiOutputs {
    fn model(&self) -> &'static ReadModel {
        &MODEL
    }

    fn stream_type(&self) -> &'static str {
        AiTask::STREAM_TYPE
    }

    fn kind(&self) -> ProjectionKind<'_> {
        ProjectionKind::MultiRow(self)
    }
}

impl MultiRowProjection for AiOutputs {
    fn progress_table(&self) -> &'static ReadModel {
        &PROGRESS
    }

    /// Returns no rows, because an output never changes.
    fn changed_rows(&self, _events: &[Arc<StoredEvent>]) -> Vec<Uuid> {
        Vec::new()
    }

    fn fold(&self, _rows: HashMap<Uuid, Row>, events: &[Arc<StoredEvent>]) -> MultiFoldResult {
        let mut rows = Vec::new();
        let mut folded = None;
        let mut stuck = None;
        for event in events {
            let decoded = codec::decode::<AiTask>(event, None).map_err(|error| error.to_string());
            let created = decoded.and_then(|decoded| {
                let created = output(decoded).map(|created| row(created, event));
                created.transpose()
            });
            match created {
                Ok(created) => {
                    rows.extend(created);
                    folded = Some(Arc::clone(event));
                }
                Err(reason) => {
                    stuck = Some((event.position, reason));
                    break;
                }
            }
        }
        MultiFoldResult {
            rows,
            folded,
            stuck,
        }
    }
}

fn output(event: Event) -> Option<OutputCreated> {
    match event {
        Event::OutputCreated(created) => Some(*created),
        Event::Created(_)
        | Event::Started(_)
        | Event::Completed(_)
        | Event::Failed(_)
        | Event::Cancelled(_) => None,
    }
}

/// Returns the row of an output, with the attributes and the sealed PHI of its event.
///
/// # Errors
///
/// A description of the failure if the document cannot be serialised.
pub fn row(output: OutputCreated, event: &StoredEvent) -> Result<Row, String> {
    let id = output.output_id.as_uuid();
    let recorded_at = event.recorded_at();
    let mut sealed = SealedPhi::default();
    sealed.push(event.version, &event.sealed);
    let values = vec![
        Value::Uuid(output.ai_task_id.as_uuid()),
        Value::Uuid(output.imaging_study_id.as_uuid()),
        Value::Text(output.output_type.to_string()),
    ];
    let patient_id = output.patient_id;
    let resource = Versioned {
        id: StreamId::from(id),
        tenant_id: event.tenant_id,
        state: AiOutput::from(output),
        created_at: recorded_at,
        updated_at: recorded_at,
        version: event.version,
        size: Size::default(),
    };
    Ok(Row {
        id,
        tenant_id: event.tenant_id,
        patient_id: Some(patient_id),
        version: event.version,
        sort_key: sort_key::newest_first(recorded_at, id),
        values,
        document: row_document(&resource)?,
        sealed: sealed.into_bytes(),
    })
}

/// Returns the task of the row.
pub fn task_of(row: &Row) -> Option<AiTaskId> {
    match row.values.first() {
        Some(Value::Uuid(id)) => Some(AiTaskId::from(*id)),
        Some(Value::Null | Value::Text(_) | Value::Bool(_)) | None => None,
    }
}

/// Returns the study of the row.
pub fn study_of(row: &Row) -> Option<StudyId> {
    match row.values.get(1) {
        Some(Value::Uuid(id)) => Some(StudyId::from(*id)),
        Some(Value::Null | Value::Text(_) | Value::Bool(_)) | None => None,
    }
}

/// Filters of the list.
#[derive(Debug, Default)]
pub struct Filters {
    /// Task of the output.
    pub imaging_ai_task_id: Option<AiTaskId>,
    /// Study of the output.
    pub imaging_study_id: Option<StudyId>,
    /// Type of the output.
    pub output_type: Option<OutputType>,
}

/// Returns the query for a page of AI outputs.
pub fn page(
    tenant_id: TenantId,
    filters: &Filters,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    let task = filters
        .imaging_ai_task_id
        .map(|id| equals("imaging_ai_task_id", id.as_uuid()));
    let study = filters
        .imaging_study_id
        .map(|id| equals("imaging_study_id", id.as_uuid()));
    // A task or a study has only a few outputs.
    let narrow = task.clone().or(study.clone());
    let output_type = filters.output_type.filter(|_| narrow.is_some());
    let prefixes = match narrow {
        Some(narrow) => vec![vec![narrow]],
        None => walks::prefixes(
            &[],
            &[walks::words(
                "output_type",
                filters.output_type,
                OutputType::ALL,
            )],
        ),
    };
    ListQuery {
        prefixes,
        filters: walks::residual([
            task,
            study,
            output_type.map(|word| ("output_type", Value::Text(word.to_string()))),
        ]),
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}

fn equals(column: &'static str, id: Uuid) -> ColumnEquals {
    (column, Value::Uuid(id))
}
