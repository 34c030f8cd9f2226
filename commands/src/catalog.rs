//! Commands on the entries of the catalog.

use roentgen_domain::Versioned;
use roentgen_domain::catalog::{CatalogEntry, Command};
use roentgen_domain::ids::{StreamId, TenantId};

use crate::error::{CommandError, DomainError};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Command that adds an entry to the catalog.
#[derive(Debug, Clone)]
pub struct CreateEntry<E>(pub E);

impl<E: CatalogEntry> UseCase for CreateEntry<E>
where
    DomainError: From<E::Invalid>,
{
    type Aggregate = E;

    fn stream(&self, tenant: TenantId) -> Option<StreamId> {
        Some(self.0.id(tenant).into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<E>, CommandError> {
        let id = self.0.id(work.context().tenant_id);
        work.create::<E>(id, Command::Create(Box::new(self.0.clone())))
            .await
    }
}

/// Command that changes an entry of the catalog.
#[derive(Debug, Clone)]
pub struct UpdateEntry<E: CatalogEntry> {
    /// Id of the entry.
    pub id: E::Id,
    /// Requested changes.
    pub update: E::Update,
}

impl<E: CatalogEntry> UseCase for UpdateEntry<E>
where
    DomainError: From<E::Invalid>,
{
    type Aggregate = E;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<E>, CommandError> {
        work.decide::<E>(self.id, Command::Update(Box::new(self.update.clone())))
            .await
    }
}
