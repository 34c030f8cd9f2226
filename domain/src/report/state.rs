//! State of a report.

use serde::{Deserialize, Serialize};

use super::content::AuthoredContent;
use super::critical_result::{Communication, RaisedCriticalResult};
use super::phi::ReportPhi;
use crate::Timestamp;
use crate::canonical_json::ContentDigest;
use crate::ids::{
    AddendumId, AiOutputId, OrderId, PatientId, PractitionerId, ReportId, StudyId, TemplateId,
};
use crate::wire_enum;

/// State of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Study.
    pub imaging_study_id: StudyId,
    /// Order that the study fulfilled when the report was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaging_order_id: Option<OrderId>,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Responsible radiologist: the creator, or the radiologist who took over the draft.
    pub radiologist_id: PractitionerId,
    /// Template of the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<TemplateId>,
    /// Lifecycle state.
    #[serde(flatten)]
    pub progress: Lifecycle,
    /// Whether the report is marked critical, signed or not.
    pub critical_result: bool,
    /// Version at which the report was marked critical or its result was raised again; only later communications count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) critical_since: Option<u64>,
    /// Raised critical result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<RaisedCriticalResult>,
    /// Whether there are unsigned changes after a signature.
    pub unsigned_changes: bool,
    /// Communications, in order.
    pub communications: Vec<Communication>,
    /// Latest review of each AI suggestion.
    pub ai_suggestions: Vec<Review>,
    /// Last activity of a radiologist.
    pub last_activity: Activity,
    /// Version of the `Created` event of this report; above 1 if the report was recreated after a cancellation.
    pub(super) begun: u64,
    /// Version of the last event.
    pub(super) facts: u64,
    /// `None` if sealed or erased.
    #[serde(skip)]
    pub phi: Option<ReportPhi>,
}

/// Lifecycle of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Lifecycle {
    /// Being written.
    Draft,
    /// Released; another signature is expected.
    Preliminary {
        /// Signed version.
        release: SignedVersion,
    },
    /// Released as final.
    Final {
        /// Signed version.
        release: SignedVersion,
    },
    /// Released as final, with addenda.
    Corrected {
        /// Signed version.
        release: SignedVersion,
        /// Addenda, in order; at least one.
        addenda: Vec<Addendum>,
    },
    /// Cancelled.
    Cancelled {
        /// Version that was signed as preliminary.
        #[serde(skip_serializing_if = "Option::is_none")]
        release: Option<SignedVersion>,
        /// Version of the cancellation.
        cancelled_in: u64,
    },
}

/// Name of a [`Lifecycle`] state (FHIR DiagnosticReport.status; `draft` is FHIR's `registered` or `partial`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Being written.
    Draft,
    /// Released; another signature is expected.
    Preliminary,
    /// Released as final.
    Final,
    /// Released as final, with addenda.
    Corrected,
    /// Cancelled.
    Cancelled,
}

/// Signed content: all content written up to a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedVersion {
    /// Version of the signature in the stream. Content of earlier versions is signed, content of later versions is not.
    pub version: u64,
    /// Signatory, time and status.
    #[serde(flatten)]
    pub facts: SignatureRecord,
    /// Digest over content and record; see `report/signature.rs`.
    pub sha256: ContentDigest,
}

/// Signature without the signed content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureRecord {
    /// Status of the signature: preliminary or final.
    #[serde(rename = "signed_as")]
    pub status: Status,
    /// Signatory.
    pub signed_by_radiologist_id: PractitionerId,
    /// Time of the signature.
    pub signed_at: Timestamp,
    /// Whether the report was marked critical.
    #[serde(rename = "signed_critical_result")]
    pub critical_result: bool,
}

/// Addendum to a final report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Addendum {
    /// Version in the stream, which identifies the text in [`ReportPhi`].
    pub version: u64,
    /// Attributes without the text.
    #[serde(flatten)]
    pub facts: AddendumRecord,
    /// Digest over text and attributes.
    pub sha256: ContentDigest,
}

/// Addendum without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddendumRecord {
    /// Addendum id.
    pub addendum_id: AddendumId,
    /// Kind of addendum.
    pub kind: AddendumKind,
    /// Author.
    pub added_by_radiologist_id: PractitionerId,
    /// Time of the addendum.
    pub added_at: Timestamp,
    /// Whether the result is critical from now on; `None` if the addendum does not state it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical_result: Option<bool>,
}

/// Kind of an addendum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddendumKind {
    /// Additional information.
    #[default]
    Addition,
    /// Correction of an error.
    Correction,
    /// Change of the content.
    Amendment,
}

/// Latest review of one AI suggestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Version of the review, which identifies its note.
    pub version: u64,
    /// Reviewed output.
    pub output_id: AiOutputId,
    /// Decision.
    pub decision: Decision,
    /// Reviewer.
    pub reviewed_by_radiologist_id: PractitionerId,
    /// Time of the review.
    pub reviewed_at: Timestamp,
}

/// Decision on an AI suggestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Accepted unchanged.
    Accepted,
    /// Rejected.
    Rejected,
    /// Accepted with changes.
    Modified,
}

/// Last activity on a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Radiologist.
    pub radiologist: PractitionerId,
    /// Time of the activity.
    pub at: Timestamp,
}

wire_enum! {
    Status: Draft = "draft", Preliminary = "preliminary", Final = "final",
        Corrected = "corrected", Cancelled = "cancelled";
    AddendumKind: Addition = "addition", Correction = "correction", Amendment = "amendment";
    Decision: Accepted = "accepted", Rejected = "rejected", Modified = "modified";
}

impl Lifecycle {
    /// Returns the status.
    pub const fn status(&self) -> Status {
        match self {
            Self::Draft => Status::Draft,
            Self::Preliminary { .. } => Status::Preliminary,
            Self::Final { .. } => Status::Final,
            Self::Corrected { .. } => Status::Corrected,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }
}

impl Report {
    /// Returns the report id.
    pub fn id(&self) -> ReportId {
        ReportId::derive(self.imaging_study_id)
    }

    /// Returns the status.
    pub const fn status(&self) -> Status {
        self.progress.status()
    }

    /// Returns the last signed version.
    pub const fn signed_version(&self) -> Option<&SignedVersion> {
        match &self.progress {
            Lifecycle::Draft => None,
            Lifecycle::Preliminary { release }
            | Lifecycle::Final { release }
            | Lifecycle::Corrected { release, .. } => Some(release),
            Lifecycle::Cancelled { release, .. } => release.as_ref(),
        }
    }

    /// Returns the addenda, in order.
    pub fn addenda(&self) -> &[Addendum] {
        match &self.progress {
            Lifecycle::Corrected { addenda, .. } => addenda,
            Lifecycle::Draft
            | Lifecycle::Preliminary { .. }
            | Lifecycle::Final { .. }
            | Lifecycle::Cancelled { .. } => &[],
        }
    }

    /// Returns the version of the cancellation.
    pub(super) const fn cancelled_in(&self) -> Option<u64> {
        match &self.progress {
            Lifecycle::Cancelled { cancelled_in, .. } => Some(*cancelled_in),
            Lifecycle::Draft
            | Lifecycle::Preliminary { .. }
            | Lifecycle::Final { .. }
            | Lifecycle::Corrected { .. } => None,
        }
    }

    /// Returns all content, signed or not; `None` if the PHI is unreadable.
    pub fn authored_content(&self) -> Option<AuthoredContent> {
        let phi = self.phi.as_ref()?;
        Some(phi.authored_at(self.begun..=self.facts))
    }

    /// Returns whether the released report is critical, as shown to callers without draft access.
    pub fn released_critical_result(&self) -> Option<bool> {
        match &self.progress {
            Lifecycle::Draft => None,
            Lifecycle::Preliminary { release } => Some(release.facts.critical_result),
            Lifecycle::Final { .. } | Lifecycle::Corrected { .. } => Some(self.critical_result),
            Lifecycle::Cancelled { release, .. } => release
                .as_ref()
                .map(|version| version.facts.critical_result),
        }
    }
}
