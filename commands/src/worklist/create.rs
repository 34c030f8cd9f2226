//! Creation of worklist items.

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

/// Command that adds a study to the worklist, or adds it again. The study must exist; patient and order must match the
/// study.
#[derive(Debug, Clone)]
pub struct CreateItem {
    /// Study to be read.
    pub imaging_study_id: StudyId,
    /// Order of the study, if the caller names it.
    pub imaging_order_id: Option<OrderId>,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Modality of the case.
    pub modality_code: ModalityCode,
    /// Body part of the case; default the body part of the study.
    pub body_part: Option<BodyPart>,
    /// Priority of the case.
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

/// Builds the item of a study from the study and its linked order.
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

/// Returns the attention flags that an existing item would have received by now.
fn attention(linking: OrderLink, order: Option<&Order>) -> Vec<Attention> {
    let cancelled = order.is_some_and(|order| order.progress.status() == Status::Cancelled);
    match linking {
        OrderLink::Conflict { .. } => vec![Attention::LinkConflict],
        OrderLink::Linked { .. } if cancelled => vec![Attention::OrderCancelled],
        OrderLink::Linked { .. } | OrderLink::Unlinked => Vec::new(),
    }
}
