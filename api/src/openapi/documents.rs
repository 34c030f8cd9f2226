//! What answers look like, a module a chapter.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

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
    ReportTemplateDocument, SectionDocument, SignatureDocument, SuggestionReviewDocument,
};
pub(crate) use worklist::{ReadingProfileDocument, WorklistItemDocument};

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
    /// open, sealed, erased, or unreadable where what is stored is damaged.
    phi: String,
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
    errors: Option<Vec<Map<String, Value>>>,
}
