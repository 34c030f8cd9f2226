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

/// What a model is asked for about a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRequest {
    /// Which images.
    pub imaging_study_id: StudyId,
    /// Which model.
    pub ai_model_id: AiModelId,
    /// What for.
    pub task_type: TaskType,
}

impl TaskRequest {
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

/// Asks for a task. One that is open or completed is answered with as it is; after a failed or cancelled one a new
/// attempt is made.
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

/// Asked to be where it is, a task does nothing; `If-Match` is looked at all the same.
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

/// Says how far a task is, or calls it off.
#[derive(Debug, Clone)]
pub struct ChangeTaskStatus {
    /// Which.
    pub id: AiTaskId,
    /// Where to.
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
