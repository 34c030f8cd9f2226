//! What the system asks of a study's item, in consequence of something else.

use roentgen_domain::Versioned;
use roentgen_domain::ids::{StreamId, StudyId, TenantId, WorklistItemId};
use roentgen_domain::worklist_item::{Command, WorklistItem};

use super::holding;
use crate::error::CommandError;
use crate::executor::UseCase;
use crate::work::Work;

/// A command on the item of a study, with what follows from it for its holder's caseload.
#[derive(Debug, Clone)]
pub struct OnItem {
    /// Whose item.
    pub study_id: StudyId,
    /// What follows for it.
    pub command: Command,
}

impl UseCase for OnItem {
    type Aggregate = WorklistItem;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(WorklistItemId::of(self.study_id).into())
    }

    async fn decide(&self, work: &mut Work<'_>) -> Result<Versioned<WorklistItem>, CommandError> {
        let id = WorklistItemId::of(self.study_id);
        holding::decide(work, id, self.command.clone()).await
    }
}
