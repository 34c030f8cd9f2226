//! `ImagingAITask`: one run of an AI model on a study (FHIR Task), with its outputs.
//!
//! ```text
//! (none) --Create--> queued --> running --> completed
//!                      |  |       |  |
//!                      |  +-------+--+-----> failed
//!                      +----------+--------> cancelled
//! ```
//!
//! A queued task may complete or fail directly, because workers differ. Completed, failed and cancelled are final. A
//! new attempt after a failed or cancelled task is a separate task; its id is derived from study, model, type and
//! attempt. Outputs are accepted until the task has failed or was cancelled. Output payloads are PHI, except the score
//! and flags of a triage. The state stores no payload, because no decision depends on one.

mod decide;
mod events;
pub mod output;

use serde::{Deserialize, Serialize};

pub use events::{Cancelled, Completed, Created, Event, Failed, OutputCreated, OutputPhi, Started};
pub use output::{AiOutput, OutputType, Payload, PayloadError, Triage};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::ai_model::TaskType;
use crate::codes::AiModelCode;
use crate::growth::StreamBudget;
use crate::ids::{AiModelId, AiOutputId, AiTaskId, PatientId, StudyId};
use crate::json::Members;
use crate::phi::Phi;
use crate::text::Text;
use crate::time::Timestamp;
use crate::wire_enum;

/// Maximum number of attempts per study, model and task type.
pub const MAX_ATTEMPTS: u32 = 100;

/// State of an AI task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiTask {
    /// Request: study, model and task type.
    #[serde(flatten)]
    pub request: TaskSpec,
    /// Lifecycle state.
    #[serde(flatten)]
    pub progress: Lifecycle,
    /// Number of outputs.
    pub number_of_outputs: u64,
    /// Id of the latest output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_output_id: Option<AiOutputId>,
}

/// Immutable attributes of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// AI model.
    pub ai_model_id: AiModelId,
    /// Code of the model.
    pub ai_model_code: AiModelCode,
    /// Task type.
    pub task_type: TaskType,
    /// Attempt number, starting at 1.
    pub attempt: u32,
    /// Time of the request.
    pub requested_at: Timestamp,
}

/// Lifecycle of a task, with the times of its states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Lifecycle {
    /// Not started.
    Queued,
    /// Started by a worker.
    Running {
        /// Start time.
        started_at: Timestamp,
    },
    /// Completed; final.
    Completed {
        /// Start time, if reported.
        #[serde(skip_serializing_if = "Option::is_none")]
        started_at: Option<Timestamp>,
        /// Completion time.
        completed_at: Timestamp,
    },
    /// Failed; final.
    Failed {
        /// Start time, if reported.
        #[serde(skip_serializing_if = "Option::is_none")]
        started_at: Option<Timestamp>,
        /// Time of the failure.
        completed_at: Timestamp,
        /// Error message of the worker.
        error_message: Text,
    },
    /// Cancelled; final.
    Cancelled {
        /// Start time, if the task was started.
        #[serde(skip_serializing_if = "Option::is_none")]
        started_at: Option<Timestamp>,
    },
}

/// Name of a [`Lifecycle`] state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not started.
    Queued,
    /// Started by a worker.
    Running,
    /// Completed; final.
    Completed,
    /// Failed; final.
    Failed,
    /// Cancelled; final.
    Cancelled,
}

wire_enum! {
    Status: Queued = "queued", Running = "running", Completed = "completed", Failed = "failed",
        Cancelled = "cancelled";
}

/// Commands of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Requests a task of a model for a study.
    Create(Box<NewTask>),
    /// Changes the status.
    ChangeStatus(StatusChange),
    /// Adds an output.
    AddOutput(Box<NewOutput>),
}

/// New task. The model code is the current one.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// AI model.
    pub ai_model_id: AiModelId,
    /// Code of the model.
    pub ai_model_code: AiModelCode,
    /// Task type.
    pub task_type: TaskType,
    /// Attempt number, starting at 1.
    pub attempt: u32,
}

/// Change of a task's status.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusChange {
    /// New status.
    pub status: Status,
    /// Reason of the failure; only with `failed`.
    pub error_message: Option<Text>,
}

/// New output.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOutput {
    /// Payload, validated against its output type.
    pub payload: Payload,
}

/// Domain errors of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The attempt already exists.
    #[error("this attempt already exists")]
    AlreadyExists,
    /// The task does not exist.
    #[error("AI task not found")]
    NotFound,
    /// The task is completed, failed or cancelled.
    #[error("task is {status}, a final status")]
    Final {
        /// Current status.
        status: Status,
    },
    /// The task cannot go back to an earlier status.
    #[error("task status cannot change from {from} to {to}")]
    InvalidTransition {
        /// Current status.
        from: Status,
        /// Requested status.
        to: Status,
    },
    /// Error message without status `failed`.
    #[error("error_message is allowed only with status failed")]
    ErrorWithoutFailure,
    /// Output for a failed or cancelled task.
    #[error("task is {status}; outputs are no longer accepted")]
    OutputsClosed {
        /// Current status.
        status: Status,
    },
    /// The model does not support the task type.
    #[error("model does not support this task type")]
    NotCapable,
    /// The limit of [`MAX_ATTEMPTS`] attempts is reached.
    #[error("limit of {MAX_ATTEMPTS} attempts reached")]
    TooManyAttempts,
}

impl Aggregate for AiTask {
    const STREAM_TYPE: &'static str = "ImagingAITask";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        match (state, command) {
            (None, Command::Create(new)) => decide::create(*new, context),
            (Some(_), Command::Create(_)) => Err(Error::AlreadyExists),
            (Some(task), Command::ChangeStatus(to)) => decide::advance(task, to, context),
            (Some(task), Command::AddOutput(new)) => decide::add_output(task, *new, context),
            (None, Command::ChangeStatus(_) | Command::AddOutput(_)) => Err(Error::NotFound),
        }
    }

    fn evolve(state: Option<Self>, event: Event) -> Result<Self, UnexpectedEvent> {
        events::evolve(state, event)
    }

    /// Returns `None`: the PHI is in the outputs.
    fn phi(&self) -> Option<Phi<Members>> {
        None
    }

    /// Returns `None`: the task itself has no PHI. The events of its outputs name the patient.
    fn patient_id(&self) -> Option<PatientId> {
        None
    }

    /// Returns the stream budget. Status changes are unbounded, because each step of a task happens once.
    fn room(_state: Option<&Self>, command: &Command) -> StreamBudget {
        match command {
            Command::ChangeStatus(_) => StreamBudget::Unbounded,
            Command::Create(_) | Command::AddOutput(_) => StreamBudget::Bounded,
        }
    }
}

impl TaskSpec {
    /// Returns the task's id.
    pub fn task_id(&self) -> AiTaskId {
        task_id(
            self.imaging_study_id,
            self.ai_model_id,
            self.task_type,
            self.attempt,
        )
    }
}

/// Returns the id of the task for this study, model, task type and attempt.
pub fn task_id(study: StudyId, model: AiModelId, task_type: TaskType, attempt: u32) -> AiTaskId {
    AiTaskId::derive(study, model, &task_type.to_string(), attempt)
}

impl AiTask {
    /// Returns whether another attempt may follow this task.
    pub fn is_retryable(&self) -> bool {
        match self.progress.status() {
            Status::Failed | Status::Cancelled => true,
            Status::Queued | Status::Running | Status::Completed => false,
        }
    }
}

impl Lifecycle {
    /// Returns the status.
    pub const fn status(&self) -> Status {
        match self {
            Self::Queued => Status::Queued,
            Self::Running { .. } => Status::Running,
            Self::Completed { .. } => Status::Completed,
            Self::Failed { .. } => Status::Failed,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// Returns the start time, if the task was started.
    pub const fn started_at(&self) -> Option<Timestamp> {
        match self {
            Self::Queued => None,
            Self::Running { started_at } => Some(*started_at),
            Self::Completed { started_at, .. }
            | Self::Failed { started_at, .. }
            | Self::Cancelled { started_at } => *started_at,
        }
    }
}

impl Status {
    /// Returns whether the status is final: completed, failed or cancelled.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Running => false,
        }
    }
}

#[cfg(test)]
mod tests;
