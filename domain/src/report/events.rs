//! Events of a report.

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
    /// Events of a report.
    pub enum Event {
        /// Draft created.
        Created(Box<Created>) = "RadiologyReport.Created" v 1,
        /// Content or attributes changed.
        Updated(Box<Updated>) = "RadiologyReport.Updated" v 2,
        /// Content signed and released.
        Signed(Signed) = "RadiologyReport.Signed" v 1,
        /// Addendum added to a final report.
        AddendumAdded(Box<AddendumAdded>) = "RadiologyReport.AddendumAdded" v 1,
        /// Critical result raised; it must be communicated.
        CriticalResult(CriticalResult) = "RadiologyReport.CriticalResult" v 1,
        /// Critical result communicated.
        CriticalResultCommunicated(CriticalResultCommunicated)
            = "RadiologyReport.CriticalResultCommunicated" v 1,
        /// Communication deadline passed.
        CriticalResultOverdue(CriticalResultOverdue) = "RadiologyReport.CriticalResultOverdue" v 1,
        /// AI suggestion reviewed.
        AiSuggestionReviewed(AiSuggestionReviewed) = "RadiologyReport.AiSuggestionReviewed" v 1,
        /// Cancelled.
        Cancelled(Cancelled) = "RadiologyReport.Cancelled" v 1,
    }
}

/// `RadiologyReport.Created`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Report id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Order that the study fulfils.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaging_order_id: Option<OrderId>,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Author.
    pub radiologist_id: PractitionerId,
    /// Template of the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<TemplateId>,
    /// `draft` for every new report.
    pub status: Status,
    /// `false` for every new report.
    pub critical_result: bool,
    /// Creation time of the draft.
    pub drafted_at: Timestamp,
    /// Content, sealed at rest.
    #[serde(skip)]
    pub phi: Option<AuthoredContent>,
}

/// `RadiologyReport.Updated`: changed members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// Report id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// New responsible radiologist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radiologist_id: Option<PractitionerId>,
    /// Whether the report is marked critical from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical_result: Option<bool>,
    /// Editor.
    pub edited_by_radiologist_id: PractitionerId,
    /// Time of the edit.
    pub edited_at: Timestamp,
    /// Whether the current content differs from the signed content.
    pub unsigned_changes: bool,
    /// Changed content, sealed at rest.
    #[serde(skip)]
    pub phi: Option<ContentEdit>,
}

/// `RadiologyReport.Signed`: releases all content of earlier versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signed {
    /// Report id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// `preliminary` or `final`.
    pub status: Status,
    /// Signatory.
    pub signed_by_radiologist_id: PractitionerId,
    /// Time of the signature.
    pub signed_at: Timestamp,
    /// Digest over the released content; see `report/signature.rs`.
    pub sha256: ContentDigest,
    /// Whether the report is marked critical.
    pub critical_result: bool,
}

/// `RadiologyReport.AddendumAdded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddendumAdded {
    /// Report id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Attributes without the text.
    #[serde(flatten)]
    pub facts: AddendumRecord,
    /// Digest over text and attributes.
    pub sha256: ContentDigest,
    /// PHI, sealed at rest.
    #[serde(skip)]
    pub phi: Option<AddendumPhi>,
}

/// The PHI of `RadiologyReport.AddendumAdded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddendumPhi {
    /// Text.
    pub content: PhiText,
}

/// `RadiologyReport.CriticalResult`: triggers the notification of the ordering physician.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriticalResult {
    /// Report id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Order that the study fulfils.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaging_order_id: Option<OrderId>,
    /// Ordering practitioner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_practitioner_id: Option<PractitionerId>,
    /// Time at which the result was raised.
    pub raised_at: Timestamp,
    /// Deadline for communicating the critical result.
    pub deadline: Timestamp,
    /// PHI, sealed at rest.
    #[serde(skip)]
    pub phi: Option<CriticalResultPhi>,
}

/// The PHI of `RadiologyReport.CriticalResult`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriticalResultPhi {
    /// Signed impression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impression: Option<PhiText>,
}

/// `RadiologyReport.CriticalResultCommunicated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriticalResultCommunicated {
    /// Report id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Attributes without the text.
    #[serde(flatten)]
    pub facts: CommunicationRecord,
    /// PHI, sealed at rest.
    #[serde(skip)]
    pub phi: Option<CommunicationPhi>,
}

/// The PHI of `RadiologyReport.CriticalResultCommunicated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommunicationPhi {
    /// Recipient.
    pub recipient: PhiText,
    /// Additional information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<PhiText>,
}

/// `RadiologyReport.CriticalResultOverdue`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriticalResultOverdue {
    /// Report id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Deadline that has passed.
    pub deadline: Timestamp,
}

/// `RadiologyReport.AiSuggestionReviewed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiSuggestionReviewed {
    /// Report id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Reviewed output.
    pub output_id: AiOutputId,
    /// Decision.
    pub decision: Decision,
    /// Reviewer.
    pub reviewed_by_radiologist_id: PractitionerId,
    /// Time of the review.
    pub reviewed_at: Timestamp,
    /// PHI, sealed at rest.
    #[serde(skip)]
    pub phi: Option<ReviewPhi>,
}

/// The PHI of `RadiologyReport.AiSuggestionReviewed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewPhi {
    /// Reason.
    pub note: PhiText,
}

/// `RadiologyReport.Cancelled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Report id.
    pub report_id: ReportId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Cancelling radiologist.
    pub cancelled_by_radiologist_id: PractitionerId,
    /// Time of the cancellation.
    pub cancelled_at: Timestamp,
    /// PHI, sealed at rest.
    #[serde(skip)]
    pub phi: Option<CancelledPhi>,
}

/// The PHI of `RadiologyReport.Cancelled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CancelledPhi {
    /// Reason.
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
