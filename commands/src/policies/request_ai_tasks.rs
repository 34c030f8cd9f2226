//! Policy that requests AI tasks for a new study from the models that match it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use roentgen_domain::ai_model::{AiModel, TaskType};
use roentgen_domain::ai_task::{AiTask, Command, NewTask, task_id};
use roentgen_domain::catalog::{CatalogEntry as _, Event};
use roentgen_domain::ids::{AiModelId, AiTaskId, StreamId, StudyId, TenantId};
use roentgen_domain::study::{self, Study};
use roentgen_domain::{Aggregate as _, Versioned};
use roentgen_store::error::EventReadError;
use roentgen_store::policy_memory::MemoryKey;

use super::{Cause, Effect, Policy, PolicyMemory};
use crate::error::{CommandError, DomainError};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Memory topic of the tenant's AI models, stored as one value.
const MODELS: &str = "ai_models";
/// Maximum number of active models of a tenant that get automatic tasks. Tenants have a few models; each one adds
/// effects to every study and delays the effects behind them. A model beyond the limit gets no tasks until it is
/// activated again.
const MOST_ASKED: usize = 64;
/// Attempt that the system requests. Users request further attempts.
const FIRST_ATTEMPT: u32 = 1;

type Models = BTreeMap<AiModelId, AiModel>;

/// Requests a task on `ImagingStudy.Available` for each active model that matches and each of its automatic task types.
#[derive(Debug)]
pub(super) struct RequestAiTasks;

#[async_trait]
impl Policy for RequestAiTasks {
    fn name(&self) -> &'static str {
        "ai_tasks"
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[
            "ImagingAIModel.Created",
            "ImagingAIModel.Updated",
            "ImagingStudy.Available",
        ]
    }

    fn memory_keys(&self, cause: &Cause<'_>) -> Vec<MemoryKey> {
        vec![cause.memory(MODELS, "")]
    }

    fn react(
        &self,
        cause: &Cause<'_>,
        recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError> {
        let key = cause.memory(MODELS, "");
        if let Some(study::Event::Available(available)) = cause.event::<Study>()? {
            let models = recall.get::<Models>(&key);
            return Ok(models.map_or_else(Vec::new, |models| asked(models, &available)));
        }
        if let Some(event) = cause.event::<AiModel>()?
            && let Some(models) = recall.change::<Models>(&key)
        {
            learn(models, event)?;
        }
        Ok(Vec::new())
    }
}

/// Updates the stored models with an event. Attributes that only the model's worker needs are left out.
fn learn(models: &mut Models, event: Event<AiModel>) -> Result<(), EventReadError> {
    let (id, before) = match &event {
        Event::Created(created) => (created.id, None),
        Event::Updated(updated) => (updated.id, models.get(&updated.id).cloned()),
    };
    let model = AiModel::evolve(before, event)?;
    let others = models.iter().filter(|(other, _)| **other != id);
    let active = others.filter(|(_, other)| other.is_active).count();
    let is_asked = model.is_active && active < MOST_ASKED;
    if model.is_active && !is_asked {
        tracing::warn!(
            event = "policy.model_limit",
            ai_model_id = %id,
            "tenant has more active AI models than the policy asks",
        );
    }
    let slim = AiModel {
        is_active: is_asked,
        description: None,
        endpoint_config: None,
        ..model
    };
    models.insert(id, slim);
    Ok(())
}

fn asked(models: &Models, study: &study::Available) -> Vec<Effect> {
    let modality = &study.details.modality_code;
    let body_part = &study.details.body_part;
    let fits =
        |model: &AiModel| model.is_active && model.matches(Some(modality), body_part.as_ref());
    let matching = models.iter().filter(|(_, model)| fits(model));
    matching
        .flat_map(|(id, model)| model.automatic_tasks().map(|task_type| (*id, task_type)))
        .map(|(model_id, task_type)| {
            let ask = CreateAiTask {
                study_id: study.study_id,
                model_id,
                task_type,
            };
            Effect::new("create_task", ask.task_id(), ask.task_id(), ask)
        })
        .collect()
}

/// Command that creates the first attempt of a task, unless it exists.
#[derive(Debug, Clone, Copy)]
struct CreateAiTask {
    study_id: StudyId,
    model_id: AiModelId,
    task_type: TaskType,
}

impl CreateAiTask {
    fn task_id(self) -> AiTaskId {
        task_id(self.study_id, self.model_id, self.task_type, FIRST_ATTEMPT)
    }
}

impl UseCase for CreateAiTask {
    type Aggregate = AiTask;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.task_id().into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<AiTask>, CommandError> {
        let id = self.task_id();
        if let Some(task) = work.read::<AiTask>(id).await? {
            return Ok((*task).clone());
        }
        let study = work.read::<Study>(self.study_id).await?;
        let study = study.ok_or_else(|| DomainError::from(study::Error::NotFound))?;
        let model = work.read::<AiModel>(self.model_id).await?;
        let model = model.ok_or(DomainError::EntryNotFound(AiModel::NAMES.not_found))?;
        let new = NewTask {
            imaging_study_id: self.study_id,
            patient_id: study.state.patient_id,
            ai_model_id: self.model_id,
            ai_model_code: model.state.code.clone(),
            task_type: self.task_type,
            attempt: FIRST_ATTEMPT,
        };
        work.create::<AiTask>(id, Command::Create(Box::new(new)))
            .await
    }
}
