//! Commands on the reading profiles of radiologists.

use roentgen_domain::Versioned;
use roentgen_domain::ids::{ReadingProfileId, StreamId, TenantId};
use roentgen_domain::reading_profile::{Changes, Command, ReadingProfile};

use crate::error::CommandError;
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Command that adds a reading profile to the catalog.
#[derive(Debug, Clone)]
pub struct CreateReadingProfile(pub ReadingProfile);

impl UseCase for CreateReadingProfile {
    type Aggregate = ReadingProfile;

    fn stream(&self, tenant: TenantId) -> Option<StreamId> {
        Some(ReadingProfileId::derive(tenant, self.0.practitioner_id).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<ReadingProfile>, CommandError> {
        let id = ReadingProfileId::derive(work.context().tenant_id, self.0.practitioner_id);
        let create = Command::Create(Box::new(self.0.clone()));
        work.create::<ReadingProfile>(id, create).await
    }
}

/// Command that changes a reading profile.
#[derive(Debug, Clone)]
pub struct UpdateReadingProfile {
    /// Id of the reading profile.
    pub id: ReadingProfileId,
    /// Changes to apply.
    pub changes: Changes,
}

impl UseCase for UpdateReadingProfile {
    type Aggregate = ReadingProfile;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<ReadingProfile>, CommandError> {
        let update = Command::Update(Box::new(self.changes.clone()));
        work.decide::<ReadingProfile>(self.id, update).await
    }
}
