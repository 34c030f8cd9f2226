//! Commands on the radiologists' worklist.
//!
//! An item and the caseloads of those who let it go or take it are appended to at once, each at the version that was
//! read: the limit of cases holds under any concurrency, over any number of nodes.

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

/// Claims an item for the caller.
#[derive(Debug, Clone)]
pub struct ClaimItem {
    /// Which.
    pub id: WorklistItemId,
    /// Who claims.
    pub radiologist_id: PractitionerId,
}

impl UseCase for ClaimItem {
    type Aggregate = WorklistItem;

    /// A radiologist's claims queue on the caseload rather than race for its places; many radiologists' claims of one
    /// item race, and all but one of them find it taken.
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

/// Gives an item back.
#[derive(Debug, Clone)]
pub struct ReleaseItem {
    /// Which.
    pub id: WorklistItemId,
    /// On whose authority.
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

/// Changes an item: status, priority, who is to hold it, and what is known of it besides.
#[derive(Debug, Clone)]
pub struct UpdateItem {
    /// Which.
    pub id: WorklistItemId,
    /// What.
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

    /// An assignment is decided by itself, before what else is asked: a case that is assigned and completed at once is
    /// held by somebody who has to be allowed to and to have room, too.
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

/// Where a command queues: with the radiologist's other cases, or else with the item's other commands.
fn queue_stream(tenant: TenantId, id: WorklistItemId, authority: Authority) -> StreamId {
    match authority {
        Authority::Own(radiologist) => CaseloadId::derive(tenant, radiologist).into(),
        Authority::Any => id.into(),
    }
}
