//! Commands on the catalog's procedures.

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

/// Adds a procedure to the catalog. Its modality must exist.
#[derive(Debug, Clone)]
pub struct CreateProcedure {
    /// Taken once.
    pub code: ProcedureCode,
    /// What people call it.
    pub name: Text,
    /// The modality it is done on.
    pub modality_id: ModalityId,
    /// More about it.
    pub description: Option<Text>,
    /// The body part.
    pub body_part: Option<BodyPart>,
    /// SNOMED CT concept id.
    pub snomed_code: Option<Text>,
    /// LOINC code.
    pub loinc_code: Option<Text>,
    /// How long a slot is booked for.
    pub default_duration_minutes: Option<DurationMinutes>,
    /// What the patient has to do before.
    pub preparation_instructions: Option<Text>,
    /// Whether it can be ordered.
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

/// Changes a procedure.
#[derive(Debug, Clone)]
pub struct UpdateProcedure {
    /// Which.
    pub id: ProcedureId,
    /// What.
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
