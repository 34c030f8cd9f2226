//! Commands on the procedures of the catalog.

use roentgen_domain::Versioned;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ProcedureCode;
use roentgen_domain::ids::{ModalityId, ProcedureId, StreamId, TenantId};
use roentgen_domain::modality::Modality;
use roentgen_domain::procedure::{Changes, Command, DurationMinutes, Procedure};
use roentgen_domain::text::Text;

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
    /// Description.
    pub description: Option<Text>,
    /// Body part.
    pub body_part: Option<BodyPart>,
    /// SNOMED CT concept id.
    pub snomed_code: Option<Text>,
    /// LOINC code.
    pub loinc_code: Option<Text>,
    /// Default duration of a slot, in minutes.
    pub default_duration_minutes: Option<DurationMinutes>,
    /// Instructions for the patient's preparation.
    pub preparation_instructions: Option<Text>,
    /// Whether the procedure can be ordered.
    pub is_active: bool,
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
        let command = self.clone();
        let procedure = Procedure {
            code: command.code,
            name: command.name,
            modality_id: command.modality_id,
            modality_code: modality.state.code.clone(),
            description: command.description,
            body_part: command.body_part,
            snomed_code: command.snomed_code,
            loinc_code: command.loinc_code,
            default_duration_minutes: command.default_duration_minutes,
            preparation_instructions: command.preparation_instructions,
            is_active: command.is_active,
        };
        let id = ProcedureId::derive(work.context().tenant_id, &self.code);
        work.create::<Procedure>(id, Command::Create(Box::new(procedure)))
            .await
    }
}

/// Command that changes a procedure.
#[derive(Debug, Clone)]
pub struct UpdateProcedure {
    /// Id of the procedure.
    pub id: ProcedureId,
    /// Changes to apply.
    pub changes: Changes,
}

impl UseCase for UpdateProcedure {
    type Aggregate = Procedure;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<Procedure>, CommandError> {
        let update = Command::Update(Box::new(self.changes.clone()));
        work.decide::<Procedure>(self.id, update).await
    }
}
