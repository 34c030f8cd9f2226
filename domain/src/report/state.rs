//! A report as it is now.

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

/// A report as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Study.
    pub imaging_study_id: StudyId,
    /// The order that the study answered when the report was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaging_order_id: Option<OrderId>,
    /// Whose study it is.
    pub patient_id: PatientId,
    /// Whose report it is: who began it, or took over the draft.
    pub radiologist_id: PractitionerId,
    /// What it was begun from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<TemplateId>,
    /// How far it is, with what belongs to that.
    #[serde(flatten)]
    pub progress: Lifecycle,
    /// Whether it is marked critical, signed or not.
    pub critical_result: bool,
    /// The version at which it was marked, or its result raised anew, from which on communications count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) critical_since: Option<u64>,
    /// The critical result that was raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<RaisedCriticalResult>,
    /// Whether something was written that is not signed, after something that is.
    pub unsigned_changes: bool,
    /// Who was told, in order.
    pub communications: Vec<Communication>,
    /// What was judged of the machine's suggestions; the latest judgement of each.
    pub ai_suggestions: Vec<Review>,
    /// Who wrote last.
    pub last_activity: Activity,
    /// The version of the `Created` that this report began with: more than 1 after a cancellation.
    pub(super) begun: u64,
    /// The version of the last fact.
    pub(super) facts: u64,
    /// `None` where it is sealed or erased.
    #[serde(skip)]
    pub phi: Option<ReportPhi>,
}

/// How far a report is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Lifecycle {
    /// Being written.
    Draft,
    /// Released, to be signed once more.
    Preliminary {
        /// What was signed.
        release: SignedVersion,
    },
    /// Released for good.
    Final {
        /// What was signed.
        release: SignedVersion,
    },
    /// Released for good, and added to.
    Corrected {
        /// What was signed.
        release: SignedVersion,
        /// What was added, in order; at least one.
        addenda: Vec<Addendum>,
    },
    /// Called off.
    Cancelled {
        /// What had been signed as preliminary.
        #[serde(skip_serializing_if = "Option::is_none")]
        release: Option<SignedVersion>,
        /// The version of the cancellation.
        cancelled_in: u64,
    },
}

/// The name of a [`Lifecycle`] (FHIR DiagnosticReport.status; `draft` is FHIR's `registered` or `partial`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Being written.
    Draft,
    /// Released, to be signed once more.
    Preliminary,
    /// Released for good.
    Final,
    /// Released for good, and added to.
    Corrected,
    /// Called off.
    Cancelled,
}

/// What was signed: everything that was written up to a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedVersion {
    /// The signature's version in the stream. What was written before it is signed, what comes after it is not.
    pub version: u64,
    /// Who, when, as what.
    #[serde(flatten)]
    pub facts: SignatureRecord,
    /// Over the content and the facts; see `report/signature.rs`.
    pub sha256: ContentDigest,
}

/// A signature without what it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureRecord {
    /// As what it was signed: preliminary or final.
    #[serde(rename = "signed_as")]
    pub status: Status,
    /// Who signed.
    pub signed_by_radiologist_id: PractitionerId,
    /// When.
    pub signed_at: Timestamp,
    /// Whether it was marked critical.
    #[serde(rename = "signed_critical_result")]
    pub critical_result: bool,
}

/// What was added to a final report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Addendum {
    /// Its version in the stream, by which its words are found.
    pub version: u64,
    /// What it is without its words.
    #[serde(flatten)]
    pub facts: AddendumRecord,
    /// Over its words and facts.
    pub sha256: ContentDigest,
}

/// An addendum without its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddendumRecord {
    /// Its id.
    pub addendum_id: AddendumId,
    /// What it is.
    pub kind: AddendumKind,
    /// Who added it.
    pub added_by_radiologist_id: PractitionerId,
    /// When.
    pub added_at: Timestamp,
    /// Whether the result is critical by now, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical_result: Option<bool>,
}

/// What an addendum is to what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddendumKind {
    /// It says more.
    #[default]
    Addition,
    /// It says what was wrong.
    Correction,
    /// It says something else.
    Amendment,
}

/// What was judged of one suggestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The version of the judgement, by which its note is found.
    pub version: u64,
    /// What was judged.
    pub output_id: AiOutputId,
    /// How.
    pub decision: Decision,
    /// By whom.
    pub reviewed_by_radiologist_id: PractitionerId,
    /// When.
    pub reviewed_at: Timestamp,
}

/// What became of a suggestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Taken as it is.
    Accepted,
    /// Not taken.
    Rejected,
    /// Taken in other words.
    Modified,
}

/// Who did something to the report last, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Who.
    pub radiologist: PractitionerId,
    /// When.
    pub at: Timestamp,
}

wire_enum! {
    Status: Draft = "draft", Preliminary = "preliminary", Final = "final",
        Corrected = "corrected", Cancelled = "cancelled";
    AddendumKind: Addition = "addition", Correction = "correction", Amendment = "amendment";
    Decision: Accepted = "accepted", Rejected = "rejected", Modified = "modified";
}

impl Lifecycle {
    /// Its name.
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
    /// Its id.
    pub fn id(&self) -> ReportId {
        ReportId::derive(self.imaging_study_id)
    }

    /// How far it is.
    pub const fn status(&self) -> Status {
        self.progress.status()
    }

    /// What was signed last.
    pub const fn signed_version(&self) -> Option<&SignedVersion> {
        match &self.progress {
            Lifecycle::Draft => None,
            Lifecycle::Preliminary { release }
            | Lifecycle::Final { release }
            | Lifecycle::Corrected { release, .. } => Some(release),
            Lifecycle::Cancelled { release, .. } => release.as_ref(),
        }
    }

    /// What was added, in order.
    pub fn addenda(&self) -> &[Addendum] {
        match &self.progress {
            Lifecycle::Corrected { addenda, .. } => addenda,
            Lifecycle::Draft
            | Lifecycle::Preliminary { .. }
            | Lifecycle::Final { .. }
            | Lifecycle::Cancelled { .. } => &[],
        }
    }

    /// The version of the cancellation.
    pub(super) const fn cancelled_in(&self) -> Option<u64> {
        match &self.progress {
            Lifecycle::Cancelled { cancelled_in, .. } => Some(*cancelled_in),
            Lifecycle::Draft
            | Lifecycle::Preliminary { .. }
            | Lifecycle::Final { .. }
            | Lifecycle::Corrected { .. } => None,
        }
    }

    /// Everything that is written, signed or not; `None` where the words cannot be read any more.
    pub fn authored_content(&self) -> Option<AuthoredContent> {
        let phi = self.phi.as_ref()?;
        Some(phi.authored_at(self.begun..=self.facts))
    }

    /// Whether the released report is critical, as those see it who see released content only.
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
