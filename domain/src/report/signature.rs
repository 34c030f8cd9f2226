//! Content that a signature covers.
//!
//! The signature is the SHA-256 of one JSON object in [canonical form](crate::canonical_json). A report's object has
//! the members `report_id`, `imaging_study_id`, `patient_id`, `status` (`preliminary` or `final`, as signed),
//! `signed_by_radiologist_id`, `signed_at`, `critical_result`, and, if present, `clinical_history`, `technique`,
//! `findings`, `impression`, `sections` (the template sections: `[{code, text?}]`) and `structured_data`. An addendum's
//! object has `report_id`, `addendum_id`, `kind`, `content`, `added_by_radiologist_id`, `added_at`, and
//! `critical_result` if the addendum states it.

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

/// Returns the digest of a report with this content and signature record.
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

/// Returns the digest of an addendum with this text.
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
    /// Returns whether the released content matches the signature; `None` if nothing is released or the PHI is
    /// unreadable.
    pub fn verify_signature(&self) -> Option<bool> {
        let release = self.signed_version()?;
        let content = self.released_content()?;
        Some(content_digest(self, &release.facts, &content) == release.sha256)
    }

    /// Returns whether an addendum matches its digest; `None` if the PHI is unreadable.
    pub fn verify_addendum(&self, addendum: &Addendum) -> Option<bool> {
        let content = self.phi.as_ref()?.addendum(addendum.version)?;
        Some(addendum_digest(self.id(), &addendum.facts, &content) == addendum.sha256)
    }

    /// Returns the last signed content; `None` if nothing was signed or the PHI is unreadable.
    pub fn released_content(&self) -> Option<Content> {
        let SignedVersion { version, .. } = self.signed_version()?;
        let phi = self.phi.as_ref()?;
        Some(phi.authored_at(self.begun..=*version).content)
    }
}
