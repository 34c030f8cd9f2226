//! Commands on AI tasks.

use roentgen_domain::Versioned;
use roentgen_domain::ai_model::{AiModel, TaskType};
use roentgen_domain::ai_task::{
    self, AiTask, Command, Error, MAX_ATTEMPTS, NewOutput, NewTask, Payload, StatusChange,
};
use roentgen_domain::ids::{AiModelId, AiTaskId, StreamId, StudyId, TenantId};
use roentgen_domain::study::Study;

use crate::error::{CommandError, DomainError, Reference};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Task that an AI model is to perform on a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRequest {
    /// Study to process.
    pub imaging_study_id: StudyId,
    /// AI model that performs the task.
    pub ai_model_id: AiModelId,
    /// Type of the task.
    pub task_type: TaskType,
}

impl TaskRequest {
    /// Derives the task id of an attempt.
    pub fn attempt(&self, attempt: u32) -> AiTaskId {
        ai_task::task_id(
            self.imaging_study_id,
            self.ai_model_id,
            self.task_type,
            attempt,
        )
    }

    /// Returns the first attempt of the task if the AI model is active and supports the study. The append expects the
    /// versions of study and model that were read.
    async fn validated(&self, work: &mut UnitOfWork<'_>) -> Result<NewTask, CommandError> {
        let study = work.read::<Study>(self.imaging_study_id).await?;
        let study = study.ok_or(CommandError::ReferenceNotFound(Reference::Study))?;
        let model = work.read::<AiModel>(self.ai_model_id).await?;
        let model = model.ok_or(CommandError::ReferenceNotFound(Reference::AiModel))?;
        if !model.state.is_active {
            return Err(CommandError::ReferenceInactive(Reference::AiModel));
        }
        if !model.state.capabilities.supports(self.task_type) {
            return Err(DomainError::from(Error::NotCapable).into());
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

/// Command that requests an AI task. If the latest attempt is open or completed, the command returns that attempt
/// unchanged. After a failed or cancelled attempt, it creates the next attempt.
#[derive(Debug, Clone, Copy)]
pub struct RequestTask(pub TaskRequest);

impl UseCase for RequestTask {
    type Aggregate = AiTask;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.0.attempt(1).into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<AiTask>, CommandError> {
        let first = self.0.validated(work).await?;
        for attempt in 1..=MAX_ATTEMPTS {
            let id = self.0.attempt(attempt);
            let Some(known) = work.read::<AiTask>(id).await? else {
                let new = NewTask { attempt, ..first };
                let create = Command::Create(Box::new(new));
                return work.create::<AiTask>(id, create).await;
            };
            if !known.state.is_retryable() {
                return unchanged(work, id, &known.state).await;
            }
        }
        Err(DomainError::from(Error::TooManyAttempts).into())
    }
}

/// Returns a task that already is in the requested state. `If-Match` is still checked.
async fn unchanged(
    work: &mut UnitOfWork<'_>,
    id: AiTaskId,
    task: &AiTask,
) -> Result<Versioned<AiTask>, CommandError> {
    let stay = StatusChange {
        status: task.progress.status(),
        error_message: None,
    };
    work.decide::<AiTask>(id, Command::ChangeStatus(stay)).await
}

/// Command that changes the status of a task: progress or cancellation.
#[derive(Debug, Clone)]
pub struct ChangeTaskStatus {
    /// Id of the task.
    pub id: AiTaskId,
    /// Requested status change.
    pub to: StatusChange,
}

impl UseCase for ChangeTaskStatus {
    type Aggregate = AiTask;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<AiTask>, CommandError> {
        work.decide::<AiTask>(self.id, Command::ChangeStatus(self.to.clone()))
            .await
    }
}

/// Command that stores an output of a task.
#[derive(Debug, Clone)]
pub struct AddOutput {
    /// Id of the task.
    pub task_id: AiTaskId,
    /// Content of the output.
    pub payload: Payload,
}

impl UseCase for AddOutput {
    type Aggregate = AiTask;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.task_id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<AiTask>, CommandError> {
        let task = work.read::<AiTask>(self.task_id).await?;
        task.ok_or(CommandError::ReferenceNotFound(Reference::AiTask))?;
        let payload = self.payload.clone();
        work.decide::<AiTask>(
            self.task_id,
            Command::AddOutput(Box::new(NewOutput { payload })),
        )
        .await
    }
}
