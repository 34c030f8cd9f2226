//! Commands on reports. To create, edit or sign a draft, a radiologist must hold its case, which the same append
//! verifies. Any radiologist may edit and sign a preliminary report.

mod create;
mod sign;

use roentgen_domain::Versioned;
use roentgen_domain::ids::{PractitionerId, ReportId, StreamId, StudyId, TenantId};
use roentgen_domain::report::{Cancel, Command, Edit, NewCommunication, NewReview, Report, Status};
use roentgen_domain::worklist_item::Authority;

use crate::error::{CommandError, Reference};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;
use crate::worklist::assignment;

pub use create::CreateReport;
pub use sign::{AddAddendum, SignReport};

/// Command that edits a draft or a preliminary report.
#[derive(Debug, Clone)]
pub struct EditReport {
    /// Id of the report.
    pub id: ReportId,
    /// Changes to apply.
    pub edit: Edit,
}

impl UseCase for EditReport {
    type Aggregate = Report;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Report>, CommandError> {
        ensure_draft_editable(work, self.id, self.edit.radiologist_id).await?;
        work.decide::<Report>(self.id, Command::Edit(Box::new(self.edit.clone())))
            .await
    }
}

/// Ensures that the radiologist who edits a draft holds its case, and that the case is in progress.
async fn ensure_draft_editable(
    work: &mut UnitOfWork<'_>,
    id: ReportId,
    radiologist_id: PractitionerId,
) -> Result<(), CommandError> {
    match work.read::<Report>(id).await? {
        Some(report) if report.state.status() == Status::Draft => {
            assignment::ensure_case_in_progress(work, report.state.imaging_study_id, radiologist_id)
                .await
        }
        Some(_) | None => Ok(()),
    }
}

/// Ensures that no other radiologist holds the case of a draft. The case is not claimed.
async fn draft_is_free_for(
    work: &mut UnitOfWork<'_>,
    id: ReportId,
    radiologist_id: PractitionerId,
) -> Result<(), CommandError> {
    match work.read::<Report>(id).await? {
        Some(report) if report.state.status() == Status::Draft => {
            let study_id = report.state.imaging_study_id;
            assignment::not_held_by_other(work, study_id, radiologist_id).await
        }
        Some(_) | None => Ok(()),
    }
}

/// Command that records the communication of a critical result.
#[derive(Debug, Clone)]
pub struct RecordCommunication {
    /// Id of the report.
    pub id: ReportId,
    /// Recipient, method and time of the communication.
    pub communication: NewCommunication,
}

impl UseCase for RecordCommunication {
    type Aggregate = Report;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Report>, CommandError> {
        let communicate = Command::Communicate(Box::new(self.communication.clone()));
        work.decide::<Report>(self.id, communicate).await
    }
}

/// Command that reviews a suggestion of an AI model about the report's study. The latest review counts. While the case
/// of a draft has a holder, only the holder may review.
#[derive(Debug, Clone)]
pub struct ReviewSuggestion {
    /// Id of the report.
    pub id: ReportId,
    /// Study of the AI output. An output and its study never change.
    pub output_of: StudyId,
    /// Output and verdict.
    pub review: NewReview,
}

impl UseCase for ReviewSuggestion {
    type Aggregate = Report;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Report>, CommandError> {
        let report = work.read::<Report>(self.id).await?;
        if report.is_some_and(|report| report.state.imaging_study_id != self.output_of) {
            return Err(CommandError::ReferenceNotFound(Reference::AiOutput));
        }
        draft_is_free_for(work, self.id, self.review.radiologist_id).await?;
        let review = Command::ReviewSuggestion(Box::new(self.review.clone()));
        work.decide::<Report>(self.id, review).await
    }
}

/// Command that cancels a report. While another radiologist holds the case of a draft, only an administrator may
/// cancel.
#[derive(Debug, Clone)]
pub struct CancelReport {
    /// Id of the report.
    pub id: ReportId,
    /// Radiologist and reason.
    pub cancel: Cancel,
    /// Authority: the caller's own or an administrator's.
    pub authority: Authority,
}

impl UseCase for CancelReport {
    type Aggregate = Report;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Report>, CommandError> {
        if let Authority::Own(radiologist_id) = self.authority {
            draft_is_free_for(work, self.id, radiologist_id).await?;
        }
        work.decide::<Report>(self.id, Command::Cancel(self.cancel.clone()))
            .await
    }
}
