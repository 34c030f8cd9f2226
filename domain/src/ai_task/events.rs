//! Events of a task, and their application to its state.

use serde::{Deserialize, Serialize};

use super::output::{OutputType, Triage};
use super::{AiTask, Lifecycle, TaskSpec};
use crate::aggregate::{DomainEvent, UnexpectedEvent};
use crate::ai_model::TaskType;
use crate::codes::AiModelCode;
use crate::ids::{AiModelId, AiOutputId, AiTaskId, PatientId, StudyId};
use crate::json::Members;
use crate::phi::Phi;
use crate::text::Text;
use crate::time::Timestamp;
use crate::{domain_events, event_data_with_phi, event_data_without_phi};

domain_events! {
    /// Events of a task.
    pub enum Event {
        /// Requested.
        Created(Created) = "ImagingAI.TaskCreated" v 1,
        /// Started by a worker.
        Started(Started) = "ImagingAI.TaskStarted" v 1,
        /// Completed.
        Completed(Completed) = "ImagingAI.TaskCompleted" v 1,
        /// Failed.
        Failed(Failed) = "ImagingAI.TaskFailed" v 1,
        /// Cancelled.
        Cancelled(Cancelled) = "ImagingAI.TaskCancelled" v 1,
        /// Output added.
        OutputCreated(Box<OutputCreated>) = "ImagingAI.OutputCreated" v 1,
    }
}

/// `ImagingAI.TaskCreated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Task id.
    pub ai_task_id: AiTaskId,
    /// Request: study, model and task type.
    #[serde(flatten)]
    pub request: TaskSpec,
}

/// `ImagingAI.TaskStarted`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Task id.
    pub ai_task_id: AiTaskId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
    /// Task type.
    pub task_type: TaskType,
    /// Start time.
    pub started_at: Timestamp,
}

/// `ImagingAI.TaskCompleted`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completed {
    /// Task id.
    pub ai_task_id: AiTaskId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
    /// Task type.
    pub task_type: TaskType,
    /// Completion time.
    pub completed_at: Timestamp,
}

/// `ImagingAI.TaskFailed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// Task id.
    pub ai_task_id: AiTaskId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
    /// Task type.
    pub task_type: TaskType,
    /// Error message of the worker.
    pub error: Text,
    /// Time of the failure.
    pub completed_at: Timestamp,
}

/// `ImagingAI.TaskCancelled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Task id.
    pub ai_task_id: AiTaskId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
    /// Task type.
    pub task_type: TaskType,
}

/// `ImagingAI.OutputCreated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputCreated {
    /// Output id.
    pub output_id: AiOutputId,
    /// Task id.
    pub ai_task_id: AiTaskId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
    /// AI model of the output.
    pub ai_model_id: AiModelId,
    /// Code of the model.
    pub ai_model_code: AiModelCode,
    /// Task type.
    pub task_type: TaskType,
    /// Output type.
    pub output_type: OutputType,
    /// Score and flags of a triage, which are not PHI; absent for all other types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Triage>,
    /// PHI, sealed at rest.
    #[serde(skip)]
    pub phi: Option<OutputPhi>,
}

/// The PHI of `ImagingAI.OutputCreated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputPhi {
    /// Payload of any type except triage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Phi<Members>>,
    /// Additional members of a triage payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub further: Option<Phi<Members>>,
}

event_data_with_phi!(OutputCreated);
event_data_without_phi!(Created, Started, Completed, Failed, Cancelled);

pub(super) fn evolve(state: Option<AiTask>, event: Event) -> Result<AiTask, UnexpectedEvent> {
    let misplaced = UnexpectedEvent {
        event: event.event_type(),
    };
    match (state, event) {
        (None, Event::Created(created)) => Ok(created.into()),
        (Some(task), Event::Started(data)) => Ok(started(task, &data)),
        (Some(task), Event::Completed(data)) => Ok(completed(task, &data)),
        (Some(task), Event::Failed(data)) => Ok(failed(task, data)),
        (Some(task), Event::Cancelled(_)) => Ok(cancelled(task)),
        (Some(task), Event::OutputCreated(created)) => Ok(output_created(task, &created)),
        (Some(_), Event::Created(_))
        | (
            None,
            Event::Started(_)
            | Event::Completed(_)
            | Event::Failed(_)
            | Event::Cancelled(_)
            | Event::OutputCreated(_),
        ) => Err(misplaced),
    }
}

impl From<Created> for AiTask {
    fn from(created: Created) -> Self {
        Self {
            request: created.request,
            progress: Lifecycle::Queued,
            number_of_outputs: 0,
            latest_output_id: None,
        }
    }
}

fn started(task: AiTask, started: &Started) -> AiTask {
    let progress = Lifecycle::Running {
        started_at: started.started_at,
    };
    AiTask { progress, ..task }
}

fn completed(task: AiTask, completed: &Completed) -> AiTask {
    let progress = Lifecycle::Completed {
        started_at: task.progress.started_at(),
        completed_at: completed.completed_at,
    };
    AiTask { progress, ..task }
}

fn failed(task: AiTask, failed: Failed) -> AiTask {
    let progress = Lifecycle::Failed {
        started_at: task.progress.started_at(),
        completed_at: failed.completed_at,
        error_message: failed.error,
    };
    AiTask { progress, ..task }
}

fn cancelled(task: AiTask) -> AiTask {
    let progress = Lifecycle::Cancelled {
        started_at: task.progress.started_at(),
    };
    AiTask { progress, ..task }
}

fn output_created(task: AiTask, created: &OutputCreated) -> AiTask {
    AiTask {
        number_of_outputs: task.number_of_outputs + 1,
        latest_output_id: Some(created.output_id),
        ..task
    }
}
