//! `/openapi.json`, a page that renders it, and the pages of the problems.

use std::sync::OnceLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Map, Value};
use utoipa::openapi::path::{PathItem, PathsBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi};
use utoipa::{IntoParams, OpenApi as _, ToSchema};
use uuid::Uuid;

use crate::access::Access;
use crate::call::json;
use crate::problem::{Code, Problem};
use crate::routes::{Endpoint, endpoints};

/// A page of a list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters")]
pub(crate) struct PageParameters {
    /// 1 to 500; 50 where left out.
    limit: Option<u32>,
    /// From `Link: <...>; rel="next"`.
    cursor: Option<String>,
}

/// Time travel.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters")]
pub(crate) struct AsOfParameter {
    /// An RFC 3339 time or a log position: the resource as it was then.
    as_of: Option<String>,
}

macro_rules! documents {
    ($($(#[$doc:meta])* $name:ident as $schema:ident { $($(#[$fdoc:meta])* $field:ident: $kind:ty,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, ToSchema)]
        #[schema(as = $schema)]
        #[expect(dead_code, reason = "describes an answer")]
        pub(crate) struct $name {
            /// Its id, which is its stream's.
            id: Uuid,
            /// Whose it is.
            tenant_id: Uuid,
            $($(#[$fdoc])* $field: $kind,)+
            /// When its first event was recorded.
            created_at: String,
            /// When its last event was recorded.
            updated_at: String,
            /// How many events its stream has; also the `ETag`.
            version: u64,
        }
    )+};
}

documents! {
    /// A modality.
    ModalityDocument as ImagingModality {
        code: String,
        name: String,
        description: Option<String>,
        is_active: bool,
    }
    /// A procedure.
    ProcedureDocument as ImagingProcedure {
        code: String,
        name: String,
        modality_id: Uuid,
        modality_code: String,
        description: Option<String>,
        body_part: Option<String>,
        snomed_code: Option<String>,
        loinc_code: Option<String>,
        default_duration_minutes: Option<u16>,
        preparation_instructions: Option<String>,
        is_active: bool,
    }
    /// An order (FHIR ServiceRequest). PHI members are absent where `phi` is not `open`.
    OrderDocument as ImagingOrder {
        patient_id: Uuid,
        encounter_id: Option<Uuid>,
        episode_id: Option<Uuid>,
        ordering_practitioner_id: Option<Uuid>,
        ordering_department_id: Option<Uuid>,
        imaging_procedure_id: Uuid,
        procedure_code: String,
        procedure_name: String,
        modality_code: String,
        priority: String,
        status: String,
        requested_at: String,
        scheduled_slot_id: Option<Uuid>,
        performed_start_at: Option<String>,
        performed_end_at: Option<String>,
        accession_number: String,
        fhir_service_request_id: Uuid,
        /// open, sealed or erased.
        phi: String,
        indication: Option<String>,
        cancellation_reason: Option<String>,
        patient: Option<Map<String, Value>>,
        metadata: Option<Map<String, Value>>,
    }
    /// A radiologist's reading profile.
    ReadingProfileDocument as RadiologyReadingProfile {
        practitioner_id: Uuid,
        /// All, where absent.
        allowed_modalities: Option<Vec<String>>,
        /// All, where absent.
        allowed_body_parts: Option<Vec<String>>,
        max_concurrent_cases: u8,
        reading_locations: Option<Vec<String>>,
        is_active: bool,
    }
    /// A case on the radiologists' worklist. PHI members are absent where `phi` is not `open`.
    WorklistItemDocument as RadiologyWorklistItem {
        imaging_study_id: Uuid,
        imaging_order_id: Option<Uuid>,
        patient_id: Uuid,
        modality_code: String,
        body_part: Option<String>,
        priority: String,
        /// pending, claimed, in_progress, completed or cancelled.
        status: String,
        /// Who holds it, or read it.
        assigned_radiologist_id: Option<Uuid>,
        claimed_at: Option<String>,
        last_activity_at: String,
        /// The highest of all contributions, 0 to 1.
        ai_triage_score: Option<f64>,
        ai_triage_flags: Map<String, Value>,
        ai_contributions: Vec<Map<String, Value>>,
        /// late_images, order_cancelled, link_conflict.
        attention: Vec<String>,
        accession_number: Option<String>,
        description: Option<String>,
        /// open, sealed or erased.
        phi: String,
        patient: Option<Map<String, Value>>,
    }
    /// A PACS endpoint. What `auth_config` takes is never shown.
    PacsEndpointDocument as PACSEndpoint {
        code: String,
        name: String,
        description: Option<String>,
        ae_title: Option<String>,
        host: Option<String>,
        port: Option<u16>,
        protocol: String,
        base_url: Option<String>,
        /// `{"kind": ...}`.
        auth_config: Option<Map<String, Value>>,
        viewer_launch_url: Option<String>,
        completes_order: bool,
        is_active: bool,
    }
    /// A study (FHIR ImagingStudy). PHI members are absent where `phi` is not `open`.
    StudyDocument as ImagingStudy {
        patient_id: Uuid,
        pacs_endpoint_id: Uuid,
        pacs_endpoint_code: String,
        study_instance_uid: String,
        accession_number: Option<String>,
        modality_code: String,
        body_part: Option<String>,
        description: Option<String>,
        started_at: Option<String>,
        ended_at: Option<String>,
        /// linked, unlinked or conflict.
        link: String,
        /// The order it answers, where it is linked.
        imaging_order_id: Option<Uuid>,
        /// The order it names, where that is another patient's.
        conflicting_order_id: Option<Uuid>,
        number_of_series: u32,
        number_of_instances: u32,
        viewer_url: Option<String>,
        /// available or archived.
        status: String,
        /// open, sealed or erased.
        phi: String,
        patient: Option<Map<String, Value>>,
    }
    /// A series of a study. `version` is its study's when it was changed last.
    SeriesDocument as ImagingSeries {
        imaging_study_id: Uuid,
        series_instance_uid: String,
        series_number: Option<i32>,
        body_part: Option<String>,
        modality_code: Option<String>,
        number_of_instances: Option<u32>,
        description: Option<String>,
    }
    /// An instance of a series. `version` is its study's when it was added.
    InstanceDocument as ImagingInstance {
        imaging_series_id: Uuid,
        imaging_study_id: Uuid,
        sop_instance_uid: String,
        sop_class_uid: Option<String>,
        instance_number: Option<i32>,
    }
}

documents! {
    /// An AI model. What it takes to be let in at its endpoint is never shown.
    AiModelDocument as ImagingAIModel {
        code: String,
        name: String,
        description: Option<String>,
        modality_code: Option<String>,
        body_part: Option<String>,
        capabilities: crate::ai_models::CapabilitiesBody,
        vendor: Option<String>,
        /// The vendor's version of it.
        model_version: Option<String>,
        endpoint_config: Option<Map<String, Value>>,
        is_active: bool,
    }
    /// A run of a model over a study (FHIR Task).
    AiTaskDocument as ImagingAITask {
        imaging_study_id: Uuid,
        patient_id: Uuid,
        ai_model_id: Uuid,
        ai_model_code: String,
        task_type: String,
        status: String,
        requested_at: String,
        started_at: Option<String>,
        completed_at: Option<String>,
        error_message: Option<String>,
        /// The how-manieth try, from 1.
        attempt: u32,
        number_of_outputs: u64,
        latest_output_id: Option<Uuid>,
    }
    /// A result of such a run. `payload` is PHI, a triage's score and flags aside.
    AiOutputDocument as ImagingAIOutput {
        imaging_ai_task_id: Uuid,
        imaging_study_id: Uuid,
        patient_id: Uuid,
        ai_model_id: Uuid,
        ai_model_code: String,
        task_type: String,
        output_type: String,
        /// open, sealed or erased.
        phi: String,
        payload: Option<Map<String, Value>>,
    }
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
        communications: Vec<CommunicationDocument>,
        /// none, outstanding or communicated.
        critical_communication: String,
        /// When somebody has to have been told.
        critical_deadline: Option<String>,
        /// For who sees drafts.
        ai_suggestions: Option<Vec<SuggestionReviewDocument>>,
        /// open, sealed or erased.
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
        communications: Vec<CommunicationDocument>,
        /// open, sealed or erased.
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
    /// open, sealed or erased.
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
    /// open, sealed or erased.
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

/// One line of a patient's timeline; nothing of it is PHI.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct TimelineEntry {
    /// order, study, report or ai_task.
    kind: String,
    id: Uuid,
    at: String,
    title: String,
    status: String,
    imaging_study_id: Option<Uuid>,
    accession_number: Option<String>,
    modality_code: Option<String>,
    /// Of a report, as far as the reader may see it.
    critical_result: Option<bool>,
}

/// One line of the feed.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct EventEnvelope {
    id: Uuid,
    /// Dense from 1, in commit order.
    position: u64,
    tenant_id: Uuid,
    stream: Map<String, Value>,
    version: u64,
    r#type: String,
    schema_version: u32,
    recorded_at: String,
    actor: Map<String, Value>,
    correlation_id: Uuid,
    causation_id: Option<Uuid>,
    data: Map<String, Value>,
    /// open, sealed or erased.
    phi: String,
    hash: String,
}

/// A problem document (RFC 9457).
#[derive(Debug, ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "describes an answer")]
struct ProblemSchema {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    code: String,
    request_id: Uuid,
    errors: Option<Vec<Map<String, Value>>>,
}

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(
    ModalityDocument,
    ProcedureDocument,
    OrderDocument,
    AiModelDocument,
    AiTaskDocument,
    AiOutputDocument,
    PacsEndpointDocument,
    StudyDocument,
    SeriesDocument,
    InstanceDocument,
    ReadingProfileDocument,
    WorklistItemDocument,
    TimelineEntry,
    ReportTemplateDocument,
    RadiologyReportDocument,
    CriticalResultDocument,
    SignatureDocument,
    SectionDocument,
    AddendumDocument,
    CommunicationDocument,
    SuggestionReviewDocument,
    crate::report_templates::NewReportTemplate,
    crate::report_templates::ReportTemplateChanges,
    crate::reports::NewReport,
    crate::reports::ReportChanges,
    crate::reports::SectionBody,
    crate::reports::Signing,
    crate::reports::NewAddendumBody,
    crate::reports::NewCommunicationBody,
    crate::reports::SuggestionReview,
    crate::reports::Cancellation,
    EventEnvelope,
    ProblemSchema,
    crate::modalities::NewModality,
    crate::modalities::ModalityChanges,
    crate::procedures::NewProcedure,
    crate::procedures::ProcedureChanges,
    crate::orders::NewOrder,
    crate::orders::OrderChanges,
    crate::ai_models::NewAiModel,
    crate::ai_models::AiModelChanges,
    crate::ai_models::CapabilitiesBody,
    crate::ai_models::EndpointBody,
    crate::ai_tasks::NewAiTask,
    crate::ai_tasks::AiTaskStatus,
    crate::ai_outputs::NewAiOutput,
    crate::pacs_endpoints::NewPacsEndpoint,
    crate::pacs_endpoints::PacsEndpointChanges,
    crate::auth_config::AuthConfigBody,
    crate::studies::SyncBody,
    crate::studies::SyncedSeriesBody,
    crate::studies::SyncedInstanceBody,
    crate::studies::StudyChanges,
    crate::studies::SeriesBody,
    crate::studies::InstanceBody,
    crate::viewer::ViewerLaunch,
    crate::reading_profiles::NewReadingProfile,
    crate::reading_profiles::ReadingProfileChanges,
    crate::worklist::NewWorklistItem,
    crate::worklist::WorklistItemChanges,
    crate::worklist::FlagsBody,
    crate::worklist::Oneself,
    crate::fields::PatientBody,
)))]
struct Schemas;

/// The whole description, from the routes themselves.
pub fn describe() -> OpenApi {
    let mut api = Schemas::openapi();
    api.info = InfoBuilder::new()
        .title("Roentgen")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The system of record for diagnostic imaging work."))
        .build();
    let mut paths = PathsBuilder::new();
    for Endpoint {
        method,
        path,
        access,
        mut operation,
        ..
    } in endpoints(false)
    {
        operation.tags = Some(vec![chapter(&path).to_owned()]);
        if access != Access::Open {
            let bearer = utoipa::openapi::SecurityRequirement::new("bearer", [""; 0]);
            operation.security = Some(vec![bearer]);
        }
        paths = paths.path(path, PathItem::new(method, operation));
    }
    api.paths = paths.build();
    if let Some(components) = api.components.as_mut() {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
    api
}

/// The chapter of the description that a path belongs to.
fn chapter(path: &str) -> &'static str {
    if path.starts_with("/imaging-ai/") {
        "Imaging AI"
    } else if path.starts_with("/imaging/") {
        "Imaging orders"
    } else if path.starts_with("/pacs/") {
        "PACS connector"
    } else if path.starts_with("/radiology/worklist") || path.starts_with("/radiology/reading") {
        "Radiology worklist"
    } else if path.starts_with("/patients/") {
        "Patients"
    } else if path.starts_with("/radiology/reports")
        || path.starts_with("/radiology/templates")
        || path.starts_with("/radiology/critical-results")
    {
        "Radiology reporting"
    } else if path.starts_with("/events") {
        "Log"
    } else {
        "Operations"
    }
}

/// The description as JSON.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200)))]
pub(crate) async fn document() -> Response {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let text = DOCUMENT.get_or_init(|| describe().to_json().unwrap_or_default());
    json(StatusCode::OK, text.clone())
}

/// The description as a page.
#[utoipa::path(get, path = "/docs",
    responses((status = 200, content_type = "text/html")))]
pub(crate) async fn page() -> Html<&'static str> {
    Html(include_str!("openapi/page.html"))
}

/// What a problem's `type` points at, as Markdown.
#[utoipa::path(get, path = "/problems/{code}", params(("code" = String, Path)),
    responses((status = 200, content_type = "text/markdown"), (status = 404)))]
pub(crate) async fn problem_page(
    code: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(code) = code.map_err(|_| Problem::not_found())?;
    let known = Code::ALL.iter().find(|it| it.as_str() == code);
    let page = known.ok_or_else(Problem::not_found)?.page();
    Ok((
        [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")],
        page,
    )
        .into_response())
}
