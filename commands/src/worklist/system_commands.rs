//! Commands of the system on the worklist item of a study.

use roentgen_domain::Versioned;
use roentgen_domain::ids::{StreamId, StudyId, TenantId, WorklistItemId};
use roentgen_domain::order::Order;
use roentgen_domain::study::{self, Study};
use roentgen_domain::worklist_item::{Command, LinkedOrder, WorklistItem};

use super::assignment;
use crate::error::{CommandError, DomainError};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Command on the item of a study, including the update of its holder's caseload.
#[derive(Debug, Clone)]
pub struct SystemItemCommand {
    /// Study of the item.
    pub study_id: StudyId,
    /// Command to decide.
    pub command: Command,
}

impl UseCase for SystemItemCommand {
    type Aggregate = WorklistItem;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(WorklistItemId::derive(self.study_id).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<WorklistItem>, CommandError> {
        let id = WorklistItemId::derive(self.study_id);
        assignment::decide(work, id, self.command.clone()).await
    }
}

/// Returns the order that a study is linked to. The append expects the versions of study and order that were read.
pub(crate) async fn linked_order(
    work: &mut UnitOfWork<'_>,
    study_id: StudyId,
) -> Result<Option<LinkedOrder>, CommandError> {
    let study = work.read::<Study>(study_id).await?;
    let study = study.ok_or_else(|| DomainError::from(study::Error::NotFound))?;
    let Some(order_id) = study.state.linking.order() else {
        return Ok(None);
    };
    let order = work.read::<Order>(order_id).await?;
    Ok(order.map(|order| LinkedOrder {
        order_id,
        priority: order.state.request.priority,
        status: order.state.progress.status(),
    }))
}
