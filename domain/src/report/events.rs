//! What may happen to a report.

use serde::{Deserialize, Serialize};

use super::content::{AuthoredContent, ContentEdit};
use super::critical_result::CommunicationRecord;
use super::state::{AddendumRecord, Decision, Status};
use crate::Timestamp;
use crate::canonical_json::ContentDigest;
use crate::ids::{AiOutputId, OrderId, PatientId, PractitionerId, ReportId, StudyId, TemplateId};
use crate::phi::PhiText;
use crate::{domain_events, event_data_with_phi, event_data_without_phi};

domain_events! {
    /// What may happen to a report.
    pub enum Event {
        /// It was begun.
        Created(Box<Created>) = "RadiologyReport.Created" v 1,
        /// Some of it changed.
        Updated(Box<Updated>) = "RadiologyReport.Updated" v 2,
        /// What was written was released.
        Signed(Signed) = "RadiologyReport.Signed" v 1,
        /// Something was added to what is final.
        AddendumAdded(Box<AddendumAdded>) = "RadiologyReport.AddendumAdded" v 1,
        /// Somebody has to be told.
        CriticalResult(CriticalResult) = "RadiologyReport.CriticalResult" v 1,
        /// Somebody was told.
        CriticalResultCommunicated(CriticalResultCommunicated)
            = "RadiologyReport.CriticalResultCommunicated" v 1,
        /// Nobody was told in time.
        CriticalResultOverdue(CriticalResultOverdue) = "RadiologyReport.CriticalResultOverdue" v 1,
        /// A suggestion of an AI model was judged.
        AiSuggestionReviewed(AiSuggestionReviewed) = "RadiologyReport.AiSuggestionReviewed" v 1,
        /// It was called off.
        Cancelled(Cancelled) = "RadiologyReport.Cancelled" v 1,
    }
}

/// `RadiologyReport.Created`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Its id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// The order that the study answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaging_order_id: Option<OrderId>,
    /// Whose study it is.
    pub patient_id: PatientId,
    /// Who writes.
    pub radiologist_id: PractitionerId,
    /// What it was begun from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<TemplateId>,
    /// `draft`: every report begins so.
    pub status: Status,
    /// `false`: every report begins so.
    pub critical_result: bool,
    /// Start of the study.
    pub drafted_at: Timestamp,
    /// Sealed at rest: what it says.
    #[serde(skip)]
    pub phi: Option<AuthoredContent>,
}

/// `RadiologyReport.Updated`: what changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// Its id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Whose study it is.
    pub patient_id: PatientId,
    /// Whose report it is from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radiologist_id: Option<PractitionerId>,
    /// Whether it is marked critical from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical_result: Option<bool>,
    /// Who wrote.
    pub edited_by_radiologist_id: PractitionerId,
    /// When.
    pub edited_at: Timestamp,
    /// Whether what stands there now differs from what was signed.
    pub unsigned_changes: bool,
    /// Sealed at rest: what it says in other words.
    #[serde(skip)]
    pub phi: Option<ContentEdit>,
}

/// `RadiologyReport.Signed`: everything that was written before it is released.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signed {
    /// Its id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Whose study it is.
    pub patient_id: PatientId,
    /// `preliminary` or `final`.
    pub status: Status,
    /// Who signed.
    pub signed_by_radiologist_id: PractitionerId,
    /// When.
    pub signed_at: Timestamp,
    /// Over what is released; see `report/signature.rs`.
    pub sha256: ContentDigest,
    /// Whether it is marked critical.
    pub critical_result: bool,
}

/// `RadiologyReport.AddendumAdded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddendumAdded {
    /// The report's id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Whose study it is.
    pub patient_id: PatientId,
    /// What it is without its words.
    #[serde(flatten)]
    pub facts: AddendumRecord,
    /// Over its words and facts.
    pub sha256: ContentDigest,
    /// Sealed at rest.
    #[serde(skip)]
    pub phi: Option<AddendumPhi>,
}

/// The PHI of `RadiologyReport.AddendumAdded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddendumPhi {
    /// What it says.
    pub content: PhiText,
}

/// `RadiologyReport.CriticalResult`: what notifies the ordering physician.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriticalResult {
    /// The report's id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Whose study it is.
    pub patient_id: PatientId,
    /// The order that the study answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaging_order_id: Option<OrderId>,
    /// Who ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_practitioner_id: Option<PractitionerId>,
    /// When it was signed.
    pub raised_at: Timestamp,
    /// Deadline for communicating the critical result.
    pub deadline: Timestamp,
    /// Sealed at rest.
    #[serde(skip)]
    pub phi: Option<CriticalResultPhi>,
}

/// The PHI of `RadiologyReport.CriticalResult`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriticalResultPhi {
    /// What was signed as impression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impression: Option<PhiText>,
}

/// `RadiologyReport.CriticalResultCommunicated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriticalResultCommunicated {
    /// The report's id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Whose study it is.
    pub patient_id: PatientId,
    /// What it is without its words.
    #[serde(flatten)]
    pub facts: CommunicationRecord,
    /// Sealed at rest.
    #[serde(skip)]
    pub phi: Option<CommunicationPhi>,
}

/// The PHI of `RadiologyReport.CriticalResultCommunicated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommunicationPhi {
    /// Who was told.
    pub recipient: PhiText,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<PhiText>,
}

/// `RadiologyReport.CriticalResultOverdue`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriticalResultOverdue {
    /// The report's id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Whose study it is.
    pub patient_id: PatientId,
    /// When somebody had to have been told.
    pub deadline: Timestamp,
}

/// `RadiologyReport.AiSuggestionReviewed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiSuggestionReviewed {
    /// The report's id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Whose study it is.
    pub patient_id: PatientId,
    /// What was judged.
    pub output_id: AiOutputId,
    /// How.
    pub decision: Decision,
    /// By whom.
    pub reviewed_by_radiologist_id: PractitionerId,
    /// When.
    pub reviewed_at: Timestamp,
    /// Sealed at rest.
    #[serde(skip)]
    pub phi: Option<ReviewPhi>,
}

/// The PHI of `RadiologyReport.AiSuggestionReviewed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewPhi {
    /// Why.
    pub note: PhiText,
}

/// `RadiologyReport.Cancelled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cancelled {
    /// The report's id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Whose study it is.
    pub patient_id: PatientId,
    /// Who cancelled.
    pub cancelled_by_radiologist_id: PractitionerId,
    /// When.
    pub cancelled_at: Timestamp,
    /// Sealed at rest.
    #[serde(skip)]
    pub phi: Option<CancelledPhi>,
}

/// The PHI of `RadiologyReport.Cancelled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CancelledPhi {
    /// Why.
    pub cancellation_reason: PhiText,
}

event_data_with_phi!(
    Created,
    Updated,
    AddendumAdded,
    CriticalResult,
    CriticalResultCommunicated,
    AiSuggestionReviewed,
    Cancelled,
);
event_data_without_phi!(Signed, CriticalResultOverdue);
