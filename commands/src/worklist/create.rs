//! Putting a study on the worklist.

use roentgen_domain::Versioned;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::ids::{OrderId, PatientId, StreamId, StudyId, TenantId, WorklistItemId};
use roentgen_domain::order::{Order, Priority, Status};
use roentgen_domain::study::{OrderLink, Study};
use roentgen_domain::worklist_item::{Attention, CaseDetails, Command, NewItem, WorklistItem};

use crate::error::{CommandError, Reference};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Puts a study on the worklist, or puts it there again. The study must exist; patient and order must be its own.
#[derive(Debug, Clone)]
pub struct CreateItem {
    /// The study.
    pub imaging_study_id: StudyId,
    /// The order, where the caller names it.
    pub imaging_order_id: Option<OrderId>,
    /// Whose images are to be read.
    pub patient_id: PatientId,
    /// The modality, as it is to be read.
    pub modality_code: ModalityCode,
    /// The body part; the study's, where the caller does not say.
    pub body_part: Option<BodyPart>,
    /// How soon.
    pub priority: Priority,
}

impl UseCase for CreateItem {
    type Aggregate = WorklistItem;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(WorklistItemId::derive(self.imaging_study_id).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<WorklistItem>, CommandError> {
        let study = work.read::<Study>(self.imaging_study_id).await?;
        let study = study.ok_or(CommandError::ReferenceNotFound(Reference::Study))?;
        self.check_belongs_to(&study.state)?;
        let order = match study.state.linking.order() {
            Some(order_id) => work.read::<Order>(order_id).await?,
            None => None,
        };
        let order = order.as_deref().map(|order| &order.state);
        let mut new = item_for_study(self.imaging_study_id, &study.state, order);
        new.priority = self.priority;
        new.case.modality_code = self.modality_code.clone();
        new.case.body_part = self.body_part.clone().or(new.case.body_part);
        let id = WorklistItemId::derive(self.imaging_study_id);
        work.create::<WorklistItem>(id, Command::Create(Box::new(new)))
            .await
    }
}

impl CreateItem {
    fn check_belongs_to(&self, study: &Study) -> Result<(), CommandError> {
        if self.patient_id != study.patient_id {
            return Err(CommandError::ReferenceMismatch(Reference::Patient));
        }
        if self.imaging_order_id.is_some() && self.imaging_order_id != study.linking.order() {
            return Err(CommandError::ReferenceMismatch(Reference::Order));
        }
        Ok(())
    }
}

/// The item of a study, as the study and the order that it is linked to say.
pub(crate) fn item_for_study(study_id: StudyId, study: &Study, order: Option<&Order>) -> NewItem {
    let details = &study.details;
    let by_study = study.phi.as_ref().and_then(|phi| phi.patient.clone());
    let by_order = order.and_then(|order| order.phi.as_ref()?.patient.clone());
    NewItem {
        patient_id: study.patient_id,
        case: CaseDetails {
            imaging_study_id: study_id,
            imaging_order_id: study.linking.order(),
            modality_code: details.modality_code.clone(),
            body_part: details.body_part.clone(),
            accession_number: details.accession_number.clone(),
            description: details.description.clone(),
        },
        priority: order.map_or(Priority::Routine, |order| order.request.priority),
        attention: attention(study.linking, order),
        patient: by_study.or(by_order),
    }
}

/// What is known already, and would be told of an item that exists.
fn attention(linking: OrderLink, order: Option<&Order>) -> Vec<Attention> {
    let cancelled = order.is_some_and(|order| order.progress.status() == Status::Cancelled);
    match linking {
        OrderLink::Conflict { .. } => vec![Attention::LinkConflict],
        OrderLink::Linked { .. } if cancelled => vec![Attention::OrderCancelled],
        OrderLink::Linked { .. } | OrderLink::Unlinked => Vec::new(),
    }
}
