//! Commands on reports. Who creates, edits or signs a draft holds its case, in the same append; a preliminary report
//! may be edited and signed by any radiologist.

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

/// Edits a draft or a preliminary report.
#[derive(Debug, Clone)]
pub struct EditReport {
    /// Which.
    pub id: ReportId,
    /// What.
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

/// Makes sure that who writes on a draft holds its case, which is in progress.
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

/// Makes sure that nobody else holds the case of a draft. What is not writing does not claim it.
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

/// Notes that somebody was told.
#[derive(Debug, Clone)]
pub struct RecordCommunication {
    /// Of which report.
    pub id: ReportId,
    /// Who, how and when.
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

/// Judges what an AI model suggested about the report's study. The latest judgement counts, so that of a draft is its
/// holder's to make.
#[derive(Debug, Clone)]
pub struct ReviewSuggestion {
    /// In which report.
    pub id: ReportId,
    /// The study that the output is about. An output never changes, nor does its study.
    pub output_of: StudyId,
    /// Which output, and how it is judged.
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

/// Calls a report off. While another radiologist holds the case of a draft, only an administrator does.
#[derive(Debug, Clone)]
pub struct CancelReport {
    /// Which.
    pub id: ReportId,
    /// Who, and why.
    pub cancel: Cancel,
    /// On whose authority: one's own, or an administrator's.
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
