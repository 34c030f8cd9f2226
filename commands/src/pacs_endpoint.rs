//! Commands on the PACS endpoints of the catalog.

use roentgen_domain::Versioned;
use roentgen_domain::ids::{PacsEndpointId, StreamId, TenantId};
use roentgen_domain::pacs_endpoint::{Changes, Command, PacsEndpoint};

use crate::error::CommandError;
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Command that adds an endpoint to the catalog. The caller has already stored its secret.
#[derive(Debug, Clone)]
pub struct CreatePacsEndpoint(pub PacsEndpoint);

impl UseCase for CreatePacsEndpoint {
    type Aggregate = PacsEndpoint;

    fn stream(&self, tenant: TenantId) -> Option<StreamId> {
        Some(PacsEndpointId::derive(tenant, &self.0.code).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<PacsEndpoint>, CommandError> {
        let id = PacsEndpointId::derive(work.context().tenant_id, &self.0.code);
        work.create::<PacsEndpoint>(id, Command::Create(Box::new(self.0.clone())))
            .await
    }
}

/// Command that changes an endpoint. The caller has already stored the new secret, if any.
#[derive(Debug, Clone)]
pub struct UpdatePacsEndpoint {
    /// Id of the endpoint.
    pub id: PacsEndpointId,
    /// Changes to apply.
    pub changes: Changes,
}

impl UseCase for UpdatePacsEndpoint {
    type Aggregate = PacsEndpoint;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<PacsEndpoint>, CommandError> {
        let update = Command::Update(Box::new(self.changes.clone()));
        work.decide::<PacsEndpoint>(self.id, update).await
    }
}
