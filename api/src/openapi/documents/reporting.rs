//! Response bodies of report templates, reports and their parts, and critical results.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::openapi::values;

documents! {
    /// A report template.
    ReportTemplateDocument as RadiologyReportTemplate {
        code: String,
        name: String,
        modality_code: Option<String>,
        body_part: Option<String>,
        description: Option<String>,
        template_type: values::TemplateType,
        /// A JSON Schema (draft 2020-12).
        schema: Option<Map<String, Value>>,
        /// A string, or an object of strings keyed by section.
        default_text: Option<Value>,
        is_active: bool,
    }
    /// A report (FHIR DiagnosticReport). Radiologists, auditors and admins see the working content, other callers the
    /// last signed content. PHI fields are absent unless `phi` is `open`.
    RadiologyReportDocument as RadiologyReport {
        imaging_study_id: Uuid,
        imaging_order_id: Option<Uuid>,
        patient_id: Uuid,
        radiologist_id: Uuid,
        template_id: Option<Uuid>,
        status: values::ReportStatus,
        critical_result: bool,
        signed_at: Option<values::Time>,
        signed_by_radiologist_id: Option<Uuid>,
        signature: Option<SignatureDocument>,
        /// Whether there are edits since the last signature; with draft access only.
        unsigned_changes: Option<bool>,
        addenda: Vec<AddendumDocument>,
        /// Without draft access: communications of released content only.
        communications: Vec<CommunicationDocument>,
        critical_communication: values::CriticalCommunicationStatus,
        /// Deadline for communicating the critical result.
        critical_deadline: Option<values::Time>,
        /// Reviews of AI suggestions; with draft access only.
        ai_suggestions: Option<Vec<SuggestionReviewDocument>>,
        phi: values::PhiState,
        clinical_history: Option<String>,
        technique: Option<String>,
        findings: Option<String>,
        impression: Option<String>,
        sections: Option<Vec<SectionDocument>>,
        structured_data: Option<Map<String, Value>>,
        /// AI summary; with draft access only.
        ai_assist_summary: Option<String>,
        cancellation_reason: Option<String>,
    }
    /// A critical result of a report.
    CriticalResultDocument as CriticalResult {
        radiology_report_id: Uuid,
        imaging_study_id: Uuid,
        imaging_order_id: Option<Uuid>,
        ordering_practitioner_id: Option<Uuid>,
        patient_id: Uuid,
        radiologist_id: Uuid,
        signed_by_radiologist_id: Option<Uuid>,
        /// Status of the report.
        status: values::ReportStatus,
        /// Outstanding or communicated.
        critical_communication: values::CriticalCommunicationStatus,
        raised_at: values::Time,
        deadline: values::Time,
        age_seconds: i64,
        overdue: bool,
        /// Communications of this result only, not of earlier results of the same report.
        communications: Vec<CommunicationDocument>,
        phi: values::PhiState,
        impression: Option<String>,
    }
}

/// Signature and its validity; `valid` is absent if the content can no longer be decrypted.
#[derive(Debug, ToSchema)]
#[schema(as = Signature)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct SignatureDocument {
    sha256: String,
    #[schema(nullable = false)]
    valid: Option<bool>,
}

/// A section of a report.
#[derive(Debug, ToSchema)]
#[schema(as = RadiologyReportSection)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct SectionDocument {
    code: String,
    title: String,
    #[schema(nullable = false)]
    text: Option<String>,
}

/// An addendum to a final report.
#[derive(Debug, ToSchema)]
#[schema(as = RadiologyReportAddendum)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct AddendumDocument {
    id: Uuid,
    radiology_report_id: Uuid,
    kind: values::AddendumKind,
    added_by_radiologist_id: Uuid,
    #[schema(nullable = false)]
    critical_result: Option<bool>,
    signature: SignatureDocument,
    created_at: values::Time,
    phi: values::PhiState,
    #[schema(nullable = false)]
    content: Option<String>,
}

/// Communication of a critical result (FHIR Communication).
#[derive(Debug, ToSchema)]
#[schema(as = CriticalCommunication)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct CommunicationDocument {
    id: Uuid,
    radiology_report_id: Uuid,
    method: values::CommunicationMethod,
    communicated_at: values::Time,
    read_back: bool,
    communicated_by_radiologist_id: Uuid,
    created_at: values::Time,
    phi: values::PhiState,
    #[schema(nullable = false)]
    recipient: Option<String>,
    #[schema(nullable = false)]
    note: Option<String>,
}

/// Review of an AI suggestion by a radiologist.
#[derive(Debug, ToSchema)]
#[schema(as = AiSuggestionReview)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct SuggestionReviewDocument {
    output_id: Uuid,
    decision: values::SuggestionDecision,
    reviewed_by_radiologist_id: Uuid,
    reviewed_at: values::Time,
    #[schema(nullable = false)]
    note: Option<String>,
}
