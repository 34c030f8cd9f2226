//! Commands on the radiologists' worklist.
//!
//! One append writes an item and the caseloads of its previous and new holders, each at its expected version. So the
//! limit of concurrent cases holds under concurrency and across nodes.

pub(crate) mod assignment;
pub(crate) mod create;
pub mod system_commands;

use roentgen_domain::ids::{CaseloadId, PractitionerId, StreamId, TenantId, WorklistItemId};
use roentgen_domain::worklist_item::{
    Authority, Claim, Command, RequestedStatus, Update, WorklistItem,
};
use roentgen_domain::{Change, Versioned};

use crate::error::CommandError;
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

pub use assignment::ensure_case_claimed;
pub use create::CreateItem;

/// Command that claims an item for the caller.
#[derive(Debug, Clone)]
pub struct ClaimItem {
    /// Id of the item.
    pub id: WorklistItemId,
    /// Radiologist who claims.
    pub radiologist_id: PractitionerId,
}

impl UseCase for ClaimItem {
    type Aggregate = WorklistItem;

    /// Returns the caseload's stream: claims of one radiologist queue there, so that they do not conflict. Claims of
    /// one item by several radiologists conflict, and all but one find the item claimed.
    fn stream(&self, tenant: TenantId) -> Option<StreamId> {
        Some(CaseloadId::derive(tenant, self.radiologist_id).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<WorklistItem>, CommandError> {
        let claim = Command::Claim(Claim {
            radiologist_id: self.radiologist_id,
            assigned_by: None,
        });
        assignment::decide(work, self.id, claim).await
    }
}

/// Command that releases an item.
#[derive(Debug, Clone)]
pub struct ReleaseItem {
    /// Id of the item.
    pub id: WorklistItemId,
    /// Authority of the caller.
    pub authority: Authority,
}

impl UseCase for ReleaseItem {
    type Aggregate = WorklistItem;

    fn stream(&self, tenant: TenantId) -> Option<StreamId> {
        Some(queue_stream(tenant, self.id, self.authority))
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<WorklistItem>, CommandError> {
        assignment::decide(work, self.id, Command::Release(self.authority)).await
    }
}

/// Command that changes an item: status, priority, assignment or triage.
#[derive(Debug, Clone)]
pub struct UpdateItem {
    /// Id of the item.
    pub id: WorklistItemId,
    /// Changes to apply.
    pub update: Update,
}

impl UseCase for UpdateItem {
    type Aggregate = WorklistItem;

    fn stream(&self, tenant: TenantId) -> Option<StreamId> {
        let authority = match &self.update.assign {
            Change::Set(claim) => Authority::Own(claim.radiologist_id),
            Change::Keep | Change::Clear => self.update.authority,
        };
        Some(queue_stream(tenant, self.id, authority))
    }

    /// Decides the assignment first, separately from the other changes: if an update assigns and completes a case, the
    /// new holder still has to be eligible and below the case limit.
    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<WorklistItem>, CommandError> {
        let mut update = self.update.clone();
        if let Change::Set(claim) = &self.update.assign {
            update.assign = Change::Keep;
            let hand_over = Update {
                status: update
                    .status
                    .take_if(|status| *status == RequestedStatus::Pending),
                authority: update.authority,
                priority: None,
                assign: Change::Set(claim.clone()),
                ai_triage_score: Change::Keep,
                ai_triage_flags: Change::Keep,
            };
            assignment::decide(work, self.id, Command::Update(Box::new(hand_over))).await?;
        }
        assignment::decide(work, self.id, Command::Update(Box::new(update))).await
    }
}

/// Returns the stream on which a command queues: the radiologist's caseload, or the item if the caller may change any.
fn queue_stream(tenant: TenantId, id: WorklistItemId, authority: Authority) -> StreamId {
    match authority {
        Authority::Own(radiologist) => CaseloadId::derive(tenant, radiologist).into(),
        Authority::Any => id.into(),
    }
}
