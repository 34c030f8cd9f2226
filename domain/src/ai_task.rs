//! `ImagingAITask`: one run of a model over a study (FHIR Task), and the outputs that came of it.
//!
//! ```text
//! (none) --Create--> queued --> running --> completed
//!                      |  |       |  |
//!                      |  +-------+--+-----> failed
//!                      +----------+--------> cancelled
//! ```
//!
//! A queued task may complete or fail directly: workers differ. Completed, failed and cancelled are final; after a
//! failed or cancelled one a new attempt is a task of its own, whose id follows from study, model, type and attempt.
//! Outputs are taken until the task has failed or was cancelled. Their payloads are PHI, scores and flags of a triage
//! aside, and the state keeps none of them: what a task decides does not depend on what an output says.

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

/// How often one model may be asked for one thing about one study.
pub const MAX_ATTEMPTS: u32 = 100;

/// A task as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiTask {
    /// What was asked of which model.
    #[serde(flatten)]
    pub request: TaskSpec,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Lifecycle,
    /// How many outputs came of it so far.
    pub number_of_outputs: u64,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_output_id: Option<AiOutputId>,
}

/// What a task says from its first day on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Which images.
    pub imaging_study_id: StudyId,
    /// Whose they are.
    pub patient_id: PatientId,
    /// Which model.
    pub ai_model_id: AiModelId,
    /// That model's code.
    pub ai_model_code: AiModelCode,
    /// What for.
    pub task_type: TaskType,
    /// Attempt number, starting at 1.
    pub attempt: u32,
    /// When it was asked.
    pub requested_at: Timestamp,
}

/// How far a task is, with the times that belong to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Lifecycle {
    /// Nobody works on it yet.
    Queued,
    /// A worker is on it.
    Running {
        /// Since when.
        started_at: Timestamp,
    },
    /// Done.
    Completed {
        /// From when, where it was told.
        #[serde(skip_serializing_if = "Option::is_none")]
        started_at: Option<Timestamp>,
        /// Until when.
        completed_at: Timestamp,
    },
    /// It did not work.
    Failed {
        /// From when, where it was told.
        #[serde(skip_serializing_if = "Option::is_none")]
        started_at: Option<Timestamp>,
        /// Until when.
        completed_at: Timestamp,
        /// What the worker says of it.
        error_message: Text,
    },
    /// Called off.
    Cancelled {
        /// When it had been begun, where it had.
        #[serde(skip_serializing_if = "Option::is_none")]
        started_at: Option<Timestamp>,
    },
}

/// The name of a [`Lifecycle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody works on it yet.
    Queued,
    /// A worker is on it.
    Running,
    /// Done: final.
    Completed,
    /// It did not work: final.
    Failed,
    /// Called off: final.
    Cancelled,
}

wire_enum! {
    Status: Queued = "queued", Running = "running", Completed = "completed", Failed = "failed",
        Cancelled = "cancelled";
}

/// What may be asked of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Asks a model for something about a study.
    Create(Box<NewTask>),
    /// Says how far it is.
    ChangeStatus(StatusChange),
    /// Keeps a result.
    AddOutput(Box<NewOutput>),
}

/// A new task. The model's code is that of the moment.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// Which images.
    pub imaging_study_id: StudyId,
    /// Whose they are.
    pub patient_id: PatientId,
    /// Which model.
    pub ai_model_id: AiModelId,
    /// That model's code.
    pub ai_model_code: AiModelCode,
    /// What for.
    pub task_type: TaskType,
    /// Attempt number, starting at 1.
    pub attempt: u32,
}

/// How far a task is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusChange {
    /// Where it is to be.
    pub status: Status,
    /// Why it failed; only with `failed`.
    pub error_message: Option<Text>,
}

/// A result to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOutput {
    /// What it says, checked by its type.
    pub payload: Payload,
}

/// Why a task refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This attempt was made already.
    #[error("this attempt already exists")]
    AlreadyExists,
    /// There is none.
    #[error("AI task not found")]
    NotFound,
    /// Completed, failed or cancelled.
    #[error("task is {status}, a final status")]
    Final {
        /// What it is.
        status: Status,
    },
    /// None goes back.
    #[error("task status cannot change from {from} to {to}")]
    InvalidTransition {
        /// What it is.
        from: Status,
        /// What was asked.
        to: Status,
    },
    /// An error without failure.
    #[error("error_message is allowed only with status failed")]
    ErrorWithoutFailure,
    /// A result of a task that has failed or was cancelled.
    #[error("task is {status}; outputs are no longer accepted")]
    OutputsClosed {
        /// What it is.
        status: Status,
    },
    /// The model cannot do this.
    #[error("model does not support this task type")]
    NotCapable,
    /// It was tried [`MAX_ATTEMPTS`] times.
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

    /// None: the payloads are the outputs'.
    fn phi(&self) -> Option<Phi<Members>> {
        None
    }

    /// None: a task by itself has no PHI. Its outputs' events name the patient themselves.
    fn patient_id(&self) -> Option<PatientId> {
        None
    }

    /// Each step of a task is taken once.
    fn room(_state: Option<&Self>, command: &Command) -> StreamBudget {
        match command {
            Command::ChangeStatus(_) => StreamBudget::Unbounded,
            Command::Create(_) | Command::AddOutput(_) => StreamBudget::Bounded,
        }
    }
}

impl TaskSpec {
    /// The task's id.
    pub fn task_id(&self) -> AiTaskId {
        task_id(
            self.imaging_study_id,
            self.ai_model_id,
            self.task_type,
            self.attempt,
        )
    }
}

/// The id of an attempt to have a model do something about a study.
pub fn task_id(study: StudyId, model: AiModelId, task_type: TaskType, attempt: u32) -> AiTaskId {
    AiTaskId::derive(study, model, &task_type.to_string(), attempt)
}

impl AiTask {
    /// Whether another attempt may follow on this one.
    pub fn is_retryable(&self) -> bool {
        match self.progress.status() {
            Status::Failed | Status::Cancelled => true,
            Status::Queued | Status::Running | Status::Completed => false,
        }
    }
}

impl Lifecycle {
    /// Its name.
    pub const fn status(&self) -> Status {
        match self {
            Self::Queued => Status::Queued,
            Self::Running { .. } => Status::Running,
            Self::Completed { .. } => Status::Completed,
            Self::Failed { .. } => Status::Failed,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// When it was begun, where it was.
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
    /// Completed, failed and cancelled are final.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Running => false,
        }
    }
}

#[cfg(test)]
mod tests;
