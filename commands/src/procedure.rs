//! Creation of a procedure, which needs its modality.

use roentgen_domain::Versioned;
use roentgen_domain::catalog::CatalogEntry as _;
use roentgen_domain::codes::ProcedureCode;
use roentgen_domain::ids::{ModalityId, ProcedureId, StreamId, TenantId};
use roentgen_domain::modality::Modality;
use roentgen_domain::procedure::{Changes, Procedure};
use roentgen_domain::text::Text;

use crate::catalog::CreateEntry;
use crate::error::{CommandError, Reference};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Command that adds a procedure to the catalog. The modality must exist.
#[derive(Debug, Clone)]
pub struct CreateProcedure {
    /// Unique code of the procedure.
    pub code: ProcedureCode,
    /// Display name.
    pub name: Text,
    /// Modality on which the procedure is performed.
    pub modality_id: ModalityId,
    /// The optional members.
    pub details: Changes,
}

impl UseCase for CreateProcedure {
    type Aggregate = Procedure;

    fn stream(&self, tenant: TenantId) -> Option<StreamId> {
        Some(ProcedureId::derive(tenant, &self.code).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<Procedure>, CommandError> {
        let modality = work.read::<Modality>(self.modality_id).await?;
        let modality = modality.ok_or(CommandError::ReferenceNotFound(Reference::Modality))?;
        let procedure = Procedure {
            code: self.code.clone(),
            name: self.name.clone(),
            modality_id: self.modality_id,
            modality_code: modality.state.code.clone(),
            description: None,
            body_part: None,
            snomed_code: None,
            loinc_code: None,
            default_duration_minutes: None,
            preparation_instructions: None,
            is_active: true,
        };
        let procedure = procedure.apply(self.details.clone());
        CreateEntry(procedure).decide(work).await
    }
}
