//! Report templates, reports with their parts, critical results.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

documents! {
    /// A report template.
    ReportTemplateDocument as RadiologyReportTemplate {
        code: String,
        name: String,
        modality_code: Option<String>,
        body_part: Option<String>,
        description: Option<String>,
        template_type: String,
        /// A JSON Schema (draft 2020-12).
        schema: Option<Map<String, Value>>,
        /// A text, or an object of texts by section.
        default_text: Option<Value>,
        is_active: bool,
    }
    /// A report (FHIR DiagnosticReport): to radiologists, auditors and admins what is written, to everybody else what was
    /// signed last. PHI members are absent where `phi` is not `open`.
    RadiologyReportDocument as RadiologyReport {
        imaging_study_id: Uuid,
        imaging_order_id: Option<Uuid>,
        patient_id: Uuid,
        radiologist_id: Uuid,
        template_id: Option<Uuid>,
        status: String,
        critical_result: bool,
        signed_at: Option<String>,
        signed_by_radiologist_id: Option<Uuid>,
        signature: Option<SignatureDocument>,
        /// For who sees drafts: whether something was written since the signature.
        unsigned_changes: Option<bool>,
        addenda: Vec<AddendumDocument>,
        /// For who sees released content only: those of what is released.
        communications: Vec<CommunicationDocument>,
        /// none, outstanding or communicated.
        critical_communication: String,
        /// When somebody has to have been told.
        critical_deadline: Option<String>,
        /// For who sees drafts.
        ai_suggestions: Option<Vec<SuggestionReviewDocument>>,
        /// open, sealed, erased, or unreadable where what is stored is damaged.
        phi: String,
        clinical_history: Option<String>,
        technique: Option<String>,
        findings: Option<String>,
        impression: Option<String>,
        sections: Option<Vec<SectionDocument>>,
        structured_data: Option<Map<String, Value>>,
        /// For who sees drafts: what AI models said.
        ai_assist_summary: Option<String>,
        cancellation_reason: Option<String>,
    }
    /// A critical result that was raised.
    CriticalResultDocument as CriticalResult {
        radiology_report_id: Uuid,
        imaging_study_id: Uuid,
        imaging_order_id: Option<Uuid>,
        ordering_practitioner_id: Option<Uuid>,
        patient_id: Uuid,
        radiologist_id: Uuid,
        signed_by_radiologist_id: Option<Uuid>,
        /// The report's.
        status: String,
        /// outstanding or communicated.
        critical_communication: String,
        raised_at: String,
        deadline: String,
        age_seconds: i64,
        overdue: bool,
        /// Those of this result; an earlier result of the same report had its own.
        communications: Vec<CommunicationDocument>,
        /// open, sealed, erased, or unreadable where what is stored is damaged.
        phi: String,
        impression: Option<String>,
    }
}

/// What a signature is over, and whether it holds; `valid` is absent where the words cannot be read any more.
#[derive(Debug, ToSchema)]
#[schema(as = Signature)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct SignatureDocument {
    sha256: String,
    valid: Option<bool>,
}

/// A section of a report.
#[derive(Debug, ToSchema)]
#[schema(as = RadiologyReportSection)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct SectionDocument {
    code: String,
    title: String,
    text: Option<String>,
}

/// An addendum to a final report.
#[derive(Debug, ToSchema)]
#[schema(as = RadiologyReportAddendum)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct AddendumDocument {
    id: Uuid,
    radiology_report_id: Uuid,
    kind: String,
    added_by_radiologist_id: Uuid,
    critical_result: Option<bool>,
    signature: SignatureDocument,
    created_at: String,
    /// open, sealed, erased, or unreadable where what is stored is damaged.
    phi: String,
    content: Option<String>,
}

/// Somebody was told of a critical result (FHIR Communication).
#[derive(Debug, ToSchema)]
#[schema(as = CriticalCommunication)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct CommunicationDocument {
    id: Uuid,
    radiology_report_id: Uuid,
    method: String,
    communicated_at: String,
    read_back: bool,
    communicated_by_radiologist_id: Uuid,
    created_at: String,
    /// open, sealed, erased, or unreadable where what is stored is damaged.
    phi: String,
    recipient: Option<String>,
    note: Option<String>,
}

/// A radiologist's judgement of a suggestion.
#[derive(Debug, ToSchema)]
#[schema(as = AiSuggestionReview)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct SuggestionReviewDocument {
    output_id: Uuid,
    decision: String,
    reviewed_by_radiologist_id: Uuid,
    reviewed_at: String,
    note: Option<String>,
}
