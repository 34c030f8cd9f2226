//! Commands on imaging orders.

use roentgen_domain::dicom::AccessionNumber;
use roentgen_domain::ids::{
    DepartmentId, EncounterId, EpisodeId, OrderId, PatientId, PractitionerId, ProcedureId,
    StreamId, TenantId,
};
use roentgen_domain::order::{
    Command, CreatedPhi, NewOrder, Order, OrderDetails, Priority, Update,
};
use roentgen_domain::procedure::Procedure;
use roentgen_domain::{Timestamp, Versioned};

use crate::error::{CommandError, Reference};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Command that creates an order. The procedure must exist and be active; the append expects the version that was read.
#[derive(Debug, Clone)]
pub struct CreateOrder {
    /// Patient to be examined.
    pub patient_id: PatientId,
    /// Encounter in which the order was placed.
    pub encounter_id: Option<EncounterId>,
    /// Episode of care.
    pub episode_id: Option<EpisodeId>,
    /// Practitioner who ordered the examination.
    pub ordering_practitioner_id: Option<PractitionerId>,
    /// Department that ordered the examination.
    pub ordering_department_id: Option<DepartmentId>,
    /// Ordered procedure.
    pub imaging_procedure_id: ProcedureId,
    /// Priority of the order.
    pub priority: Priority,
    /// Time of the request; default now.
    pub requested_at: Option<Timestamp>,
    /// Accession number from the EHR; generated if absent.
    pub accession_number: Option<AccessionNumber>,
    /// PHI of the order.
    pub phi: CreatedPhi,
}

impl UseCase for CreateOrder {
    type Aggregate = Order;

    fn stream(&self, tenant: TenantId) -> Option<StreamId> {
        self.accession_number
            .as_ref()
            .map(|number| OrderId::derive(tenant, number).into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Order>, CommandError> {
        let procedure = work.read::<Procedure>(self.imaging_procedure_id).await?;
        let procedure = procedure.ok_or(CommandError::ReferenceNotFound(Reference::Procedure))?;
        if !procedure.state.is_active {
            return Err(CommandError::ReferenceInactive(Reference::Procedure));
        }
        let context = work.context();
        let given = self.accession_number.clone();
        let accession_number =
            given.unwrap_or_else(|| AccessionNumber::generated(context.fresh_id));
        let order_id = OrderId::derive(context.tenant_id, &accession_number);
        let request = OrderDetails {
            encounter_id: self.encounter_id,
            episode_id: self.episode_id,
            ordering_practitioner_id: self.ordering_practitioner_id,
            ordering_department_id: self.ordering_department_id,
            imaging_procedure_id: self.imaging_procedure_id,
            procedure_code: procedure.state.code.clone(),
            procedure_name: procedure.state.name.clone(),
            modality_code: procedure.state.modality_code.clone(),
            priority: self.priority,
            requested_at: self.requested_at.unwrap_or(context.now),
            accession_number,
            fhir_service_request_id: order_id,
        };
        let new = NewOrder {
            patient_id: self.patient_id,
            request,
            phi: self.phi.clone(),
        };
        work.create::<Order>(order_id, Command::Create(Box::new(new)))
            .await
    }
}

/// Command that changes the status or the details of an order.
#[derive(Debug, Clone)]
pub struct UpdateOrder {
    /// Id of the order.
    pub id: OrderId,
    /// Changes to apply.
    pub update: Update,
}

impl UseCase for UpdateOrder {
    type Aggregate = Order;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Order>, CommandError> {
        work.decide::<Order>(self.id, Command::Update(Box::new(self.update.clone())))
            .await
    }
}
