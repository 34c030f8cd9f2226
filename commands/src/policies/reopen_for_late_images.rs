//! Policy that reopens a worklist item if images arrive after the study was read.

use async_trait::async_trait;
use roentgen_domain::ids::{StreamId, StudyId, TenantId, WorklistItemId};
use roentgen_domain::report::{self, Report};
use roentgen_domain::study::Study;
use roentgen_domain::worklist_item::{self, Command, Status, WorklistItem};
use roentgen_domain::{Aggregate as _, Versioned};
use roentgen_store::error::EventReadError;
use roentgen_store::policy_memory::MemoryKey;

use super::{Cause, Effect, Policy, PolicyMemory};
use crate::error::CommandError;
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;
use crate::worklist::{assignment, system_commands};

/// Memory topic of the studies that are read: the report is final, or the item is completed.
const READ: &str = "read_studies";

/// Reopens the item on `ImagingStudy.SeriesAdded` and `.InstancesAdded` after the study was read.
#[derive(Debug)]
pub(super) struct ReopenForLateImages;

/// Content of an event that matters for reopening.
enum ReadingSignal {
    Read(StudyId),
    ToBeRead(StudyId),
    Images(StudyId),
}

#[async_trait]
impl Policy for ReopenForLateImages {
    fn name(&self) -> &'static str {
        "late_images"
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[
            "ImagingStudy.SeriesAdded",
            "ImagingStudy.InstancesAdded",
            "RadiologyReport.Signed",
            "RadiologyWorklistItem.Created",
            "RadiologyWorklistItem.Updated",
        ]
    }

    fn memory_keys(&self, cause: &Cause<'_>) -> Vec<MemoryKey> {
        if *cause.event.stream_type == *Study::STREAM_TYPE {
            vec![cause.memory(READ, cause.event.stream_id)]
        } else {
            Vec::new()
        }
    }

    fn react(
        &self,
        cause: &Cause<'_>,
        recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError> {
        let late = match reading_signal(cause)? {
            Some(ReadingSignal::Read(study)) => {
                recall.set(&cause.memory(READ, study), true);
                None
            }
            Some(ReadingSignal::ToBeRead(study)) => {
                recall.remove(&cause.memory(READ, study));
                None
            }
            Some(ReadingSignal::Images(study)) => {
                let is_read = recall.get(&cause.memory(READ, study)) == Some(&true);
                is_read.then(|| {
                    let again = ReopenItem { study_id: study };
                    Effect::new("attend", WorklistItemId::derive(study), study, again)
                })
            }
            None => None,
        };
        Ok(late.into_iter().collect())
    }
}

/// Returns the signal of an event. Events of images are not decoded, because they are long and only the study's id
/// matters.
fn reading_signal(cause: &Cause<'_>) -> Result<Option<ReadingSignal>, EventReadError> {
    if *cause.event.stream_type == *Study::STREAM_TYPE {
        return Ok(Some(ReadingSignal::Images(cause.event.stream_id.into())));
    }
    if let Some(event) = cause.event::<Report>()? {
        return Ok(of_report(&event));
    }
    Ok(cause
        .event::<WorklistItem>()?
        .and_then(|event| of_item(&event)))
}

/// Returns the signal of a report event. A final signature means that the study was read, even if the item is completed
/// later.
fn of_report(event: &report::Event) -> Option<ReadingSignal> {
    match event {
        report::Event::Signed(signed) if signed.status == report::Status::Final => {
            Some(ReadingSignal::Read(signed.imaging_study_id))
        }
        report::Event::Signed(_)
        | report::Event::Created(_)
        | report::Event::Updated(_)
        | report::Event::AddendumAdded(_)
        | report::Event::CriticalResult(_)
        | report::Event::CriticalResultCommunicated(_)
        | report::Event::CriticalResultOverdue(_)
        | report::Event::AiSuggestionReviewed(_)
        | report::Event::Cancelled(_) => None,
    }
}

fn of_item(event: &worklist_item::Event) -> Option<ReadingSignal> {
    match event {
        worklist_item::Event::Updated(updated) => match updated.status? {
            Status::Completed => Some(ReadingSignal::Read(updated.imaging_study_id)),
            Status::Pending | Status::Cancelled => {
                Some(ReadingSignal::ToBeRead(updated.imaging_study_id))
            }
            Status::Claimed | Status::InProgress => None,
        },
        worklist_item::Event::Created(created) => {
            Some(ReadingSignal::ToBeRead(created.case.imaging_study_id))
        }
        worklist_item::Event::Claimed(_) | worklist_item::Event::Released(_) => None,
    }
}

/// Command that reopens the completed item of a study. A completed item misses updates, so that the command applies the
/// order that the study is linked to now.
#[derive(Debug, Clone, Copy)]
struct ReopenItem {
    study_id: StudyId,
}

impl UseCase for ReopenItem {
    type Aggregate = WorklistItem;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(WorklistItemId::derive(self.study_id).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<WorklistItem>, CommandError> {
        let order = system_commands::linked_order(work, self.study_id).await?;
        let id = WorklistItemId::derive(self.study_id);
        assignment::decide(work, id, Command::Reopen(order)).await
    }
}
