//! A study has arrived: it is put on the worklist.

use async_trait::async_trait;
use roentgen_domain::Versioned;
use roentgen_domain::ids::{StreamId, StudyId, TenantId, WorklistItemId};
use roentgen_domain::order::{Order, Priority, Status};
use roentgen_domain::study::{self, Linking, Study};
use roentgen_domain::worklist_item::{Attention, Case, Command, NewItem, WorklistItem};
use roentgen_store::codec::Unreadable;

use super::{Cause, Effect, Policy, Recall};
use crate::error::{CommandError, Refusal};
use crate::executor::UseCase;
use crate::work::Work;

/// `ImagingStudy.Available`: its item is created.
#[derive(Debug)]
pub(super) struct Arrived;

#[async_trait]
impl Policy for Arrived {
    fn name(&self) -> &'static str {
        "arrived"
    }

    fn listens_to(&self) -> &'static [&'static str] {
        &["ImagingStudy.Available"]
    }

    fn react(&self, cause: &Cause<'_>, _recall: &mut Recall) -> Result<Vec<Effect>, Unreadable> {
        let Some(study::Event::Available(it)) = cause.fact::<Study>()? else {
            return Ok(Vec::new());
        };
        let study_id = it.study_id;
        let item = WorklistItemId::of(study_id);
        let create = CreateItem { study_id };
        Ok(vec![Effect::new("create_item", item, study_id, create)])
    }
}

/// Puts a study on the worklist, unless somebody did before.
#[derive(Debug, Clone, Copy)]
struct CreateItem {
    study_id: StudyId,
}

impl UseCase for CreateItem {
    type Aggregate = WorklistItem;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(WorklistItemId::of(self.study_id).into())
    }

    async fn decide(&self, work: &mut Work<'_>) -> Result<Versioned<WorklistItem>, CommandError> {
        let id = WorklistItemId::of(self.study_id);
        if let Some(item) = work.read::<WorklistItem>(id).await? {
            return Ok((*item).clone());
        }
        let study = work.read::<Study>(self.study_id).await?;
        let study = study.ok_or_else(|| Refusal::from(study::Error::NotFound))?;
        let order = match study.state.linking.order() {
            Some(order) => work.read::<Order>(order).await?,
            None => None,
        };
        let new = item_of(
            self.study_id,
            &study.state,
            order.as_deref().map(|it| &it.state),
        );
        work.create::<WorklistItem>(id, Command::Create(Box::new(new)))
            .await
    }
}

fn item_of(study_id: StudyId, study: &Study, order: Option<&Order>) -> NewItem {
    let details = &study.details;
    let by_study = study.phi.as_ref().and_then(|it| it.patient.clone());
    let by_order = order.and_then(|it| it.phi.as_ref()?.patient.clone());
    NewItem {
        patient_id: study.patient_id,
        case: Case {
            imaging_study_id: study_id,
            imaging_order_id: study.linking.order(),
            modality_code: details.modality_code.clone(),
            body_part: details.body_part.clone(),
            accession_number: details.accession_number.clone(),
            description: details.description.clone(),
        },
        priority: order.map_or(Priority::Routine, |it| it.request.priority),
        attention: attention(study.linking, order),
        patient: by_study.or(by_order),
    }
}

fn attention(linking: Linking, order: Option<&Order>) -> Vec<Attention> {
    let cancelled = order.is_some_and(|it| it.progress.status() == Status::Cancelled);
    match linking {
        Linking::Conflict { .. } => vec![Attention::LinkConflict],
        Linking::Linked { .. } if cancelled => vec![Attention::OrderCancelled],
        Linking::Linked { .. } | Linking::Unlinked => Vec::new(),
    }
}
