//! Policy that applies status changes of a report to the worklist item.

use async_trait::async_trait;
use roentgen_domain::ids::{StudyId, WorklistItemId};
use roentgen_domain::report::{self, Report, Status};
use roentgen_domain::worklist_item::Command;
use roentgen_store::error::EventReadError;

use super::{Cause, Effect, Policy, PolicyMemory};
use crate::worklist::system_commands::SystemItemCommand;

/// Sets the item to in progress, completed or claimed on `RadiologyReport.Created`, `.Signed` and `.Cancelled`.
#[derive(Debug)]
pub(super) struct SyncReportStatus;

#[async_trait]
impl Policy for SyncReportStatus {
    fn name(&self) -> &'static str {
        "reported"
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[
            "RadiologyReport.Created",
            "RadiologyReport.Signed",
            "RadiologyReport.Cancelled",
        ]
    }

    fn react(
        &self,
        cause: &Cause<'_>,
        _recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError> {
        let step = cause.event::<Report>()?.and_then(|event| step(&event));
        let effect = step.map(|(name, study_id, command)| {
            let on_item = SystemItemCommand { study_id, command };
            Effect::new(name, WorklistItemId::derive(study_id), study_id, on_item)
        });
        Ok(effect.into_iter().collect())
    }
}

fn step(event: &report::Event) -> Option<(&'static str, StudyId, Command)> {
    match event {
        report::Event::Created(created) => {
            Some(("begin", created.imaging_study_id, Command::Begin))
        }
        report::Event::Signed(signed) if signed.status == Status::Final => {
            Some(("complete", signed.imaging_study_id, Command::Complete))
        }
        report::Event::Cancelled(cancelled) => Some((
            "back_to_claimed",
            cancelled.imaging_study_id,
            Command::ReturnToClaimed,
        )),
        report::Event::Signed(_)
        | report::Event::Updated(_)
        | report::Event::AddendumAdded(_)
        | report::Event::CriticalResult(_)
        | report::Event::CriticalResultCommunicated(_)
        | report::Event::CriticalResultOverdue(_)
        | report::Event::AiSuggestionReviewed(_) => None,
    }
}
