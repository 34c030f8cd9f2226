//! Policy that adds a new study to the worklist.

use async_trait::async_trait;
use roentgen_domain::Versioned;
use roentgen_domain::ids::{StreamId, StudyId, TenantId, WorklistItemId};
use roentgen_domain::order::Order;
use roentgen_domain::study::{self, Study};
use roentgen_domain::worklist_item::{Command, WorklistItem};
use roentgen_store::error::EventReadError;

use super::{Cause, Effect, Policy, PolicyMemory};
use crate::error::{CommandError, DomainError};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;
use crate::worklist::create;

/// Creates the worklist item of a study on `ImagingStudy.Available`.
#[derive(Debug)]
pub(super) struct AddToWorklist;

#[async_trait]
impl Policy for AddToWorklist {
    fn name(&self) -> &'static str {
        "arrived"
    }

    fn event_types(&self) -> &'static [&'static str] {
        &["ImagingStudy.Available"]
    }

    fn react(
        &self,
        cause: &Cause<'_>,
        _recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError> {
        let Some(study::Event::Available(available)) = cause.event::<Study>()? else {
            return Ok(Vec::new());
        };
        let study_id = available.study_id;
        let item = WorklistItemId::derive(study_id);
        let create = EnsureWorklistItem { study_id };
        Ok(vec![Effect::new("create_item", item, study_id, create)])
    }
}

/// Command that adds a study to the worklist, unless it has an item already.
#[derive(Debug, Clone, Copy)]
struct EnsureWorklistItem {
    study_id: StudyId,
}

impl UseCase for EnsureWorklistItem {
    type Aggregate = WorklistItem;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(WorklistItemId::derive(self.study_id).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<WorklistItem>, CommandError> {
        let id = WorklistItemId::derive(self.study_id);
        if let Some(item) = work.read::<WorklistItem>(id).await? {
            return Ok((*item).clone());
        }
        let study = work.read::<Study>(self.study_id).await?;
        let study = study.ok_or_else(|| DomainError::from(study::Error::NotFound))?;
        let order = match study.state.linking.order() {
            Some(order) => work.read::<Order>(order).await?,
            None => None,
        };
        let new = create::item_for_study(
            self.study_id,
            &study.state,
            order.as_deref().map(|order| &order.state),
        );
        work.create::<WorklistItem>(id, Command::Create(Box::new(new)))
            .await
    }
}
