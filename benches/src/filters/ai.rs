//! AI tasks and their outputs: nearly all are completed.

use roentgen_domain::ai_model::TaskType;
use roentgen_domain::ai_task::{OutputType, Status};
use roentgen_projections::{ai_outputs, ai_tasks};
use roentgen_store::read_model::Value;
use uuid::Uuid;

use super::clinical::{mostly, newest_first, text};
use super::{Choice, List, PAGE_SIZE, id};
use crate::database::TENANT;

/// Id that no row has.
const NOBODY: Uuid = Uuid::from_u128(u128::MAX);
/// Number of models.
const MODELS: u64 = 5;

pub(super) fn tasks() -> List<ai_tasks::Filters> {
    let filters: Vec<Choice<ai_tasks::Filters>> = vec![
        vec![
            ("study", |asked| {
                asked.imaging_study_id = Some(id(500).into())
            }),
            ("no study's", |asked| {
                asked.imaging_study_id = Some(NOBODY.into())
            }),
        ],
        vec![
            ("model", |asked| asked.ai_model_id = Some(id(3).into())),
            ("no model's", |asked| {
                asked.ai_model_id = Some(NOBODY.into())
            }),
        ],
        vec![
            ("triage", |asked| asked.task_type = Some(TaskType::Triage)),
            ("comparison", |asked| {
                asked.task_type = Some(TaskType::Comparison)
            }),
        ],
        vec![
            ("completed", |asked| asked.status = Some(Status::Completed)),
            ("cancelled", |asked| asked.status = Some(Status::Cancelled)),
        ],
    ];
    List {
        model: &ai_tasks::MODEL,
        sort_key: newest_first,
        values: |number| {
            let task_type = mostly(number, TaskType::Triage, &[TaskType::Quality]);
            vec![
                Value::Uuid(id(number / 8)),
                Value::Uuid(id(number / 4)),
                Value::Uuid(id(number % MODELS)),
                text(task_type),
                text(mostly(
                    number,
                    Status::Completed,
                    &[Status::Queued, Status::Failed],
                )),
            ]
        },
        filters,
        page: |filters| ai_tasks::page(TENANT.into(), filters, None, PAGE_SIZE),
    }
}

pub(super) fn outputs() -> List<ai_outputs::Filters> {
    let filters: Vec<Choice<ai_outputs::Filters>> = vec![
        vec![
            ("task", |asked| {
                asked.imaging_ai_task_id = Some(id(500).into())
            }),
            ("no task's", |asked| {
                asked.imaging_ai_task_id = Some(NOBODY.into())
            }),
        ],
        vec![
            ("study", |asked| {
                asked.imaging_study_id = Some(id(500).into())
            }),
            ("no study's", |asked| {
                asked.imaging_study_id = Some(NOBODY.into())
            }),
        ],
        vec![
            ("triage", |asked| {
                asked.output_type = Some(OutputType::Triage)
            }),
            ("segmentation", |asked| {
                asked.output_type = Some(OutputType::Segmentation)
            }),
        ],
    ];
    List {
        model: &ai_outputs::MODEL,
        sort_key: newest_first,
        values: |number| {
            vec![
                Value::Uuid(id(number / 2)),
                Value::Uuid(id(number / 4)),
                text(mostly(number, OutputType::Triage, &[OutputType::Quality])),
            ]
        },
        filters,
        page: |filters| ai_outputs::page(TENANT.into(), filters, None, PAGE_SIZE),
    }
}
