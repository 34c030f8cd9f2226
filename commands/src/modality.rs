//! Commands on the modalities of the catalog.

use roentgen_domain::Versioned;
use roentgen_domain::ids::{ModalityId, StreamId, TenantId};
use roentgen_domain::modality::{Changes, Command, Modality};

use crate::error::CommandError;
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Command that adds a modality to the catalog.
#[derive(Debug, Clone)]
pub struct CreateModality(pub Modality);

impl UseCase for CreateModality {
    type Aggregate = Modality;

    fn stream(&self, tenant: TenantId) -> Option<StreamId> {
        Some(ModalityId::derive(tenant, &self.0.code).into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Modality>, CommandError> {
        let id = ModalityId::derive(work.context().tenant_id, &self.0.code);
        work.create::<Modality>(id, Command::Create(self.0.clone()))
            .await
    }
}

/// Command that changes a modality.
#[derive(Debug, Clone)]
pub struct UpdateModality {
    /// Id of the modality.
    pub id: ModalityId,
    /// Changes to apply.
    pub changes: Changes,
}

impl UseCase for UpdateModality {
    type Aggregate = Modality;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Modality>, CommandError> {
        work.decide::<Modality>(self.id, Command::Update(self.changes.clone()))
            .await
    }
}
