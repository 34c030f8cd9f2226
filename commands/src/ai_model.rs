//! Commands on the AI models of the catalog.

use roentgen_domain::Versioned;
use roentgen_domain::ai_model::{AiModel, Command, Update};
use roentgen_domain::ids::{AiModelId, StreamId, TenantId};

use crate::error::CommandError;
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Command that adds an AI model to the catalog.
#[derive(Debug, Clone)]
pub struct CreateAiModel {
    /// Attributes of the new AI model.
    pub model: AiModel,
}

impl UseCase for CreateAiModel {
    type Aggregate = AiModel;

    fn stream(&self, tenant: TenantId) -> Option<StreamId> {
        Some(AiModelId::derive(tenant, &self.model.code).into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<AiModel>, CommandError> {
        let id = AiModelId::derive(work.context().tenant_id, &self.model.code);
        work.create::<AiModel>(id, Command::Create(Box::new(self.model.clone())))
            .await
    }
}

/// Command that changes an AI model.
#[derive(Debug, Clone)]
pub struct UpdateAiModel {
    /// Id of the AI model.
    pub id: AiModelId,
    /// Changes to apply.
    pub update: Update,
}

impl UseCase for UpdateAiModel {
    type Aggregate = AiModel;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<AiModel>, CommandError> {
        let update = Command::Update(Box::new(self.update.clone()));
        work.decide::<AiModel>(self.id, update).await
    }
}
