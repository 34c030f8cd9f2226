//! Commands on AI tasks.

use roentgen_domain::Versioned;
use roentgen_domain::ai_model::{AiModel, TaskType};
use roentgen_domain::ai_task::{
    self, AiTask, Command, Error, MAX_ATTEMPTS, Move, NewOutput, NewTask, Payload,
};
use roentgen_domain::ids::{AiModelId, AiTaskId, StreamId, StudyId, TenantId};
use roentgen_domain::study::Study;

use crate::error::{CommandError, Reference, Refusal};
use crate::executor::UseCase;
use crate::work::Work;

/// What a model is asked for about a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Which images.
    pub imaging_study_id: StudyId,
    /// Which model.
    pub ai_model_id: AiModelId,
    /// What for.
    pub task_type: TaskType,
}

impl Asked {
    /// The id of one attempt at it.
    pub fn attempt(&self, attempt: u32) -> AiTaskId {
        ai_task::task_id(
            self.imaging_study_id,
            self.ai_model_id,
            self.task_type,
            attempt,
        )
    }

    /// A first task, after a look at the study and the model: the model is active and capable, and still so when the
    /// task enters the log.
    async fn checked(&self, work: &mut Work<'_>) -> Result<NewTask, CommandError> {
        let study = work.read::<Study>(self.imaging_study_id).await?;
        let study = study.ok_or(CommandError::NoSuch(Reference::Study))?;
        let model = work.read::<AiModel>(self.ai_model_id).await?;
        let model = model.ok_or(CommandError::NoSuch(Reference::AiModel))?;
        if !model.state.is_active {
            return Err(CommandError::Inactive(Reference::AiModel));
        }
        if !model.state.capabilities.allow(self.task_type) {
            return Err(Refusal::from(Error::NotCapable).into());
        }
        Ok(NewTask {
            imaging_study_id: self.imaging_study_id,
            patient_id: study.state.patient_id,
            ai_model_id: self.ai_model_id,
            ai_model_code: model.state.code.clone(),
            task_type: self.task_type,
            attempt: 1,
        })
    }
}

/// Asks for a task. One that is open or completed is answered with as it is; after a failed or cancelled one a new
/// attempt is made.
#[derive(Debug, Clone, Copy)]
pub struct RequestTask(pub Asked);

impl UseCase for RequestTask {
    type Aggregate = AiTask;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.0.attempt(1).into())
    }

    async fn decide(&self, work: &mut Work<'_>) -> Result<Versioned<AiTask>, CommandError> {
        let first = self.0.checked(work).await?;
        for attempt in 1..=MAX_ATTEMPTS {
            let id = self.0.attempt(attempt);
            let Some(known) = work.read::<AiTask>(id).await? else {
                let new = NewTask { attempt, ..first };
                let create = Command::Create(Box::new(new));
                return work.create::<AiTask>(id, create).await;
            };
            if !known.state.may_be_tried_again() {
                return as_it_is(work, id, &known.state).await;
            }
        }
        Err(Refusal::from(Error::TooManyAttempts).into())
    }
}

/// Asked to be where it is, a task does nothing; `If-Match` is looked at all the same.
async fn as_it_is(
    work: &mut Work<'_>,
    id: AiTaskId,
    task: &AiTask,
) -> Result<Versioned<AiTask>, CommandError> {
    let stay = Move {
        status: task.progress.status(),
        error_message: None,
    };
    work.decide::<AiTask>(id, Command::Move(stay)).await
}

/// Says how far a task is, or calls it off.
#[derive(Debug, Clone)]
pub struct MoveTask {
    /// Which.
    pub id: AiTaskId,
    /// Where to.
    pub to: Move,
}

impl UseCase for MoveTask {
    type Aggregate = AiTask;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut Work<'_>) -> Result<Versioned<AiTask>, CommandError> {
        work.decide::<AiTask>(self.id, Command::Move(self.to.clone()))
            .await
    }
}

/// Keeps a result of a task.
#[derive(Debug, Clone)]
pub struct AddOutput {
    /// Whose.
    pub task_id: AiTaskId,
    /// What it says.
    pub payload: Payload,
}

impl UseCase for AddOutput {
    type Aggregate = AiTask;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.task_id.into())
    }

    async fn decide(&self, work: &mut Work<'_>) -> Result<Versioned<AiTask>, CommandError> {
        let task = work.read::<AiTask>(self.task_id).await?;
        task.ok_or(CommandError::NoSuch(Reference::AiTask))?;
        let payload = self.payload.clone();
        work.decide::<AiTask>(
            self.task_id,
            Command::AddOutput(Box::new(NewOutput { payload })),
        )
        .await
    }
}
