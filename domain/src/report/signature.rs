//! What a signature is over.
//!
//! The SHA-256 of one JSON object in [canonical form](crate::canonical_json). A report's has the members `report_id`,
//! `imaging_study_id`, `patient_id`, `status` (`preliminary` or `final`, as it was signed), `signed_by_radiologist_id`,
//! `signed_at`, `critical_result`, and, where they are there, `clinical_history`, `technique`, `findings`,
//! `impression`, `sections` (the template's own: `[{code, text?}]`) and `structured_data`. An addendum's has
//! `report_id`, `addendum_id`, `kind`, `content`, `added_by_radiologist_id`, `added_at`, and `critical_result` where it
//! said so.

use serde::Serialize;

use super::content::Content;
use super::{Addendum, AddendumRecord, Report, SignatureRecord, SignedVersion, Status};
use crate::Timestamp;
use crate::canonical_json::ContentDigest;
use crate::ids::{PatientId, PractitionerId, ReportId, StudyId};
use crate::phi::PhiText;

#[derive(Serialize)]
struct SignedContent<'a> {
    report_id: ReportId,
    imaging_study_id: StudyId,
    patient_id: PatientId,
    status: Status,
    signed_by_radiologist_id: PractitionerId,
    signed_at: Timestamp,
    critical_result: bool,
    #[serde(flatten)]
    content: &'a Content,
}

#[derive(Serialize)]
struct SignedAddendum<'a> {
    report_id: ReportId,
    #[serde(flatten)]
    addendum: &'a AddendumRecord,
    content: &'a PhiText,
}

/// Of a report with this content, released so.
pub(super) fn content_digest(
    report: &Report,
    release: &SignatureRecord,
    content: &Content,
) -> ContentDigest {
    ContentDigest::compute(&SignedContent {
        report_id: report.id(),
        imaging_study_id: report.imaging_study_id,
        patient_id: report.patient_id,
        status: release.status,
        signed_by_radiologist_id: release.signed_by_radiologist_id,
        signed_at: release.signed_at,
        critical_result: release.critical_result,
        content,
    })
}

/// Of an addendum with these words.
pub(super) fn addendum_digest(
    report_id: ReportId,
    addendum: &AddendumRecord,
    content: &PhiText,
) -> ContentDigest {
    ContentDigest::compute(&SignedAddendum {
        report_id,
        addendum,
        content,
    })
}

impl Report {
    /// Whether the released content still is what was signed; `None` where nothing is released, or where the words
    /// cannot be read any more.
    pub fn verify_signature(&self) -> Option<bool> {
        let release = self.signed_version()?;
        let content = self.released_content()?;
        Some(content_digest(self, &release.facts, &content) == release.sha256)
    }

    /// Whether an addendum still says what was added; `None` where its words cannot be read any more.
    pub fn verify_addendum(&self, addendum: &Addendum) -> Option<bool> {
        let content = self.phi.as_ref()?.addendum(addendum.version)?;
        Some(addendum_digest(self.id(), &addendum.facts, &content) == addendum.sha256)
    }

    /// What was signed last; `None` where nothing was, or where the words cannot be read any more.
    pub fn released_content(&self) -> Option<Content> {
        let SignedVersion { version, .. } = self.signed_version()?;
        let phi = self.phi.as_ref()?;
        Some(phi.authored_at(self.begun..=*version).content)
    }
}
