//! Rendering of a report for its readers.
//!
//! Radiologists, auditors and admins see the working content, signed or not, and the AI content. All other callers see
//! the content that was signed last. For them a report that was never signed does not exist. Of a signed report they
//! see the status, the critical flag, the signed text and its communications, regardless of later edits and
//! communications. Both views are rendered from one state.

use roentgen_domain::ids::{AddendumId, AiOutputId, CommunicationId, PractitionerId, ReportId};
use roentgen_domain::phi::PhiText;
use roentgen_domain::report::{
    Addendum, AddendumKind, Communication, CommunicationRecord, Content, CriticalCommunication,
    Decision, Lifecycle, Report, ReportPhi, Review, Section,
};
use roentgen_domain::{Timestamp, Versioned};
use roentgen_store::keys::{Keyring, SealedPhi};
use roentgen_store::read_model::Row;
use serde::Serialize;

use crate::authorization::Permission;
use crate::identity::Caller;
use crate::problem::Problem;
use crate::read_request::Folded;
use crate::render::{self, OpenedPhi, PhiState};

/// Readers of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Readers who see the working content.
    DraftReaders,
    /// Readers who see the signed content only.
    ReleasedReaders,
}

impl Audience {
    pub(crate) fn for_caller(caller: &Caller) -> Self {
        if Permission::ReadDrafts.is_granted_to(&caller.roles) {
            Self::DraftReaders
        } else {
            Self::ReleasedReaders
        }
    }

    /// Returns whether the report exists for these readers.
    pub(crate) fn sees(self, report: &Report) -> bool {
        self == Self::DraftReaders || report.signed_version().is_some()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    id: ReportId,
    tenant_id: roentgen_domain::ids::TenantId,
    imaging_study_id: roentgen_domain::ids::StudyId,
    #[serde(skip_serializing_if = "Option::is_none")]
    imaging_order_id: Option<roentgen_domain::ids::OrderId>,
    patient_id: roentgen_domain::ids::PatientId,
    radiologist_id: PractitionerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_id: Option<roentgen_domain::ids::TemplateId>,
    status: roentgen_domain::report::Status,
    critical_result: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by_radiologist_id: Option<PractitionerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsigned_changes: Option<bool>,
    addenda: Vec<AddendumDocument>,
    communications: Vec<CommunicationDocument>,
    critical_communication: CriticalCommunication,
    #[serde(skip_serializing_if = "Option::is_none")]
    critical_deadline: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ai_suggestions: Option<Vec<ReviewDocument>>,
    created_at: Timestamp,
    updated_at: Timestamp,
    version: u64,
    phi: PhiState,
    #[serde(flatten)]
    words: Option<ReportText<'a>>,
}

/// Signature; `valid` is absent if the content can no longer be read.
#[derive(Serialize)]
struct Signature {
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<bool>,
}

#[derive(Serialize)]
struct ReportText<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    clinical_history: &'a Option<PhiText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    technique: &'a Option<PhiText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: &'a Option<PhiText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impression: &'a Option<PhiText>,
    sections: Vec<SectionDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_data: &'a Option<roentgen_domain::phi::Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ai_assist_summary: Option<PhiText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancellation_reason: Option<PhiText>,
}

#[derive(Serialize)]
struct SectionDocument {
    code: String,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<PhiText>,
}

impl From<Section> for SectionDocument {
    fn from(section: Section) -> Self {
        Self {
            code: section.code.to_string(),
            title: section.code.title(),
            text: section.text,
        }
    }
}

/// Addendum, alone or in its report.
#[derive(Serialize)]
pub(super) struct AddendumDocument {
    id: AddendumId,
    radiology_report_id: ReportId,
    kind: AddendumKind,
    added_by_radiologist_id: PractitionerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    critical_result: Option<bool>,
    signature: Signature,
    created_at: Timestamp,
    phi: PhiState,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<PhiText>,
}

/// Communication, alone or in its report.
#[derive(Serialize)]
pub(super) struct CommunicationDocument {
    id: CommunicationId,
    radiology_report_id: ReportId,
    method: roentgen_domain::report::Method,
    communicated_at: Timestamp,
    read_back: bool,
    communicated_by_radiologist_id: PractitionerId,
    created_at: Timestamp,
    phi: PhiState,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<PhiText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<PhiText>,
}

/// Review of an AI suggestion, alone or in its report.
#[derive(Serialize)]
pub(super) struct ReviewDocument {
    output_id: AiOutputId,
    decision: Decision,
    reviewed_by_radiologist_id: PractitionerId,
    reviewed_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<PhiText>,
}

/// Renders the report for these readers, with its PHI as folded; `None` if the report does not exist for them.
pub(crate) fn document(resource: &Versioned<Report>, audience: Audience) -> Option<String> {
    document_with(resource, phi(&resource.state), audience)
}

/// Renders the report for these readers, with this PHI state.
pub(crate) fn document_with(
    resource: &Versioned<Report>,
    phi: PhiState,
    audience: Audience,
) -> Option<String> {
    let report = &resource.state;
    if !audience.sees(report) {
        return None;
    }
    let written = report.authored_content();
    let content = match audience {
        Audience::DraftReaders => written.as_ref().map(|content| content.content.clone()),
        Audience::ReleasedReaders => report.released_content(),
    };
    let summary = match audience {
        Audience::DraftReaders => written.and_then(|content| content.ai_assist_summary),
        Audience::ReleasedReaders => None,
    };
    let release = report.signed_version();
    let critical_result = critical_result(report, audience);
    let document = Document {
        id: report.id(),
        tenant_id: resource.tenant_id,
        imaging_study_id: report.imaging_study_id,
        imaging_order_id: report.imaging_order_id,
        patient_id: report.patient_id,
        radiologist_id: report.radiologist_id,
        template_id: report.template_id,
        status: report.status(),
        critical_result,
        signed_at: release.map(|version| version.facts.signed_at),
        signed_by_radiologist_id: release.map(|version| version.facts.signed_by_radiologist_id),
        signature: release.map(|version| Signature {
            sha256: version.sha256.to_string(),
            valid: report.verify_signature(),
        }),
        unsigned_changes: (audience == Audience::DraftReaders).then_some(report.unsigned_changes),
        addenda: report
            .addenda()
            .iter()
            .map(|addenda| addendum(report, phi, addenda))
            .collect(),
        communications: communications(report, phi, audience),
        critical_communication: critical_communication(report, audience),
        critical_deadline: report.critical.map(|critical| critical.deadline),
        ai_suggestions: (audience == Audience::DraftReaders).then(|| {
            let reviews = report.ai_suggestions.iter();
            reviews.map(|value| review(report, value)).collect()
        }),
        created_at: resource.created_at,
        updated_at: resource.updated_at,
        version: resource.version,
        phi,
        words: content
            .as_ref()
            .map(|content| words(report, content, summary)),
    };
    serde_json::to_string(&document).ok()
}

fn words<'a>(report: &Report, content: &'a Content, summary: Option<PhiText>) -> ReportText<'a> {
    let sections = content.all_sections().into_iter();
    ReportText {
        clinical_history: &content.clinical_history,
        technique: &content.technique,
        findings: &content.findings,
        impression: &content.impression,
        sections: sections.map(SectionDocument::from).collect(),
        structured_data: &content.structured_data,
        ai_assist_summary: summary,
        cancellation_reason: cancellation_reason(report),
    }
}

fn cancellation_reason(report: &Report) -> Option<PhiText> {
    match &report.progress {
        Lifecycle::Cancelled { cancelled_in, .. } => {
            report.phi.as_ref()?.cancellation_reason(*cancelled_in)
        }
        Lifecycle::Draft
        | Lifecycle::Preliminary { .. }
        | Lifecycle::Final { .. }
        | Lifecycle::Corrected { .. } => None,
    }
}

fn critical_result(report: &Report, audience: Audience) -> bool {
    match audience {
        Audience::DraftReaders => report.critical_result,
        Audience::ReleasedReaders => report.released_critical_result() == Some(true),
    }
}

/// Returns the communication state. Readers of released content do not see a critical flag that is not signed.
fn critical_communication(report: &Report, audience: Audience) -> CriticalCommunication {
    if audience == Audience::ReleasedReaders && !critical_result(report, audience) {
        return CriticalCommunication::None;
    }
    report.critical_communication()
}

/// Returns the PHI state of a report that was read from its stream.
pub(super) fn folded_phi(folded: &Folded<Report>) -> PhiState {
    if folded.is_readable {
        phi(&folded.resource.state)
    } else {
        PhiState::Unreadable
    }
}

/// Returns the PHI state of a report that was folded.
pub(super) fn phi(report: &Report) -> PhiState {
    OpenedPhi::folded(report.phi.as_ref()).state()
}

/// Renders an addendum of a report.
pub(super) fn addendum(report: &Report, phi: PhiState, addendum: &Addendum) -> AddendumDocument {
    let words = report.phi.as_ref();
    AddendumDocument {
        id: addendum.facts.addendum_id,
        radiology_report_id: report.id(),
        kind: addendum.facts.kind,
        added_by_radiologist_id: addendum.facts.added_by_radiologist_id,
        critical_result: addendum.facts.critical_result,
        signature: Signature {
            sha256: addendum.sha256.to_string(),
            valid: report.verify_addendum(addendum),
        },
        created_at: addendum.facts.added_at,
        phi,
        content: words.and_then(|phi| phi.addendum(addendum.version)),
    }
}

fn communications(
    report: &Report,
    phi: PhiState,
    audience: Audience,
) -> Vec<CommunicationDocument> {
    let shown = |value| communication(report, phi, value);
    match audience {
        Audience::DraftReaders => report.communications.iter().map(shown).collect(),
        Audience::ReleasedReaders => report.released_communications().map(shown).collect(),
    }
}

/// Renders a communication of a report.
pub(super) fn communication(
    report: &Report,
    phi: PhiState,
    communication: &Communication,
) -> CommunicationDocument {
    let told = report
        .phi
        .as_ref()
        .and_then(|phi| phi.communication_text(communication.version));
    let (recipient, note) = told.map_or((None, None), |text| (Some(text.recipient), text.note));
    let CommunicationRecord {
        communication_id,
        method,
        communicated_at,
        read_back,
        communicated_by_radiologist_id,
        noted_at,
    } = communication.facts;
    CommunicationDocument {
        id: communication_id,
        radiology_report_id: report.id(),
        method,
        communicated_at,
        read_back,
        communicated_by_radiologist_id,
        created_at: noted_at,
        phi,
        recipient,
        note,
    }
}

/// Renders a review of an AI suggestion.
pub(super) fn review(report: &Report, review: &Review) -> ReviewDocument {
    ReviewDocument {
        output_id: review.output_id,
        decision: review.decision,
        reviewed_by_radiologist_id: review.reviewed_by_radiologist_id,
        reviewed_at: review.reviewed_at,
        note: report.phi.as_ref().and_then(|phi| phi.note(review.version)),
    }
}

/// Returns the report in a row of a read model, with its PHI opened, and the PHI state.
pub(super) async fn opened(
    row: &Row,
    keyring: &Keyring,
) -> Result<(Versioned<Report>, PhiState), Problem> {
    let mut resource: Versioned<Report> =
        serde_json::from_str(&row.document).map_err(|error| Problem::internal(&error))?;
    let stream = row.id.into();
    let patient = resource.state.patient_id;
    let parts = render::opened_by(row, stream, patient, keyring, SealedPhi::open_each).await?;
    let state = parts.state();
    if let OpenedPhi::Open(parts) = parts {
        resource.state.phi = Some(ReportPhi::from_parts(parts));
    }
    Ok((resource, state))
}
