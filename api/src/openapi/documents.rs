//! Schemas of response bodies, one module per API area.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::values;

macro_rules! documents {
    ($($(#[$doc:meta])* $name:ident as $schema:ident { $($(#[$fdoc:meta])* $field:ident: $kind:ty,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, ToSchema)]
        #[schema(as = $schema)]
        #[expect(dead_code, reason = "describes an answer")]
        pub(crate) struct $name {
            /// Resource id; equals the stream id.
            id: Uuid,
            /// Tenant that owns the resource.
            tenant_id: Uuid,
            $($(#[$fdoc])* #[schema(nullable = false)] $field: $kind,)+
            /// Time of the first event.
            created_at: values::Time,
            /// Time of the latest event.
            updated_at: values::Time,
            /// Stream version; also the `ETag`.
            version: u64,
        }
    )+};
}

mod imaging;
mod imaging_ai;
mod pacs;
mod reporting;
mod worklist;

pub(crate) use imaging::{ModalityDocument, OrderDocument, ProcedureDocument};
pub(crate) use imaging_ai::{AiModelDocument, AiOutputDocument, AiTaskDocument};
pub(crate) use pacs::{InstanceDocument, PacsEndpointDocument, SeriesDocument, StudyDocument};
pub(crate) use reporting::{
    AddendumDocument, CommunicationDocument, CriticalResultDocument, RadiologyReportDocument,
    ReportTemplateDocument, SuggestionReviewDocument,
};
pub(crate) use worklist::{ReadingProfileDocument, WorklistItemDocument};

/// An entry of a patient's timeline; contains no PHI.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct TimelineEntry {
    kind: values::TimelineKind,
    id: Uuid,
    at: values::Time,
    title: String,
    status: String,
    #[schema(nullable = false)]
    imaging_study_id: Option<Uuid>,
    #[schema(nullable = false)]
    accession_number: Option<String>,
    #[schema(nullable = false)]
    modality_code: Option<String>,
    /// Whether the report is critical, as visible to the caller.
    #[schema(nullable = false)]
    critical_result: Option<bool>,
}

/// An event in the feed.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct EventEnvelope {
    id: Uuid,
    /// Log position: gapless from 1, in commit order.
    position: u64,
    tenant_id: Uuid,
    stream: Map<String, Value>,
    version: u64,
    r#type: String,
    schema_version: u32,
    recorded_at: values::Time,
    actor: Map<String, Value>,
    correlation_id: Uuid,
    #[schema(nullable = false)]
    causation_id: Option<Uuid>,
    data: Map<String, Value>,
    phi: values::PhiState,
    hash: String,
}

/// A problem document (RFC 9457).
#[derive(Debug, ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct ProblemSchema {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    code: String,
    request_id: Uuid,
    #[schema(nullable = false)]
    errors: Option<Vec<Map<String, Value>>>,
}
