//! Read model of the AI models of the catalog, newest first.

use roentgen_domain::Versioned;
use roentgen_domain::ai_model::AiModel;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::ids::TenantId;
use roentgen_store::read_model::{Column, ColumnKind, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks;

/// Table `ai_models_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "ai_models",
    version: 2,
    columns: &[
        Column {
            name: "modality_code",
            kind: ColumnKind::Text,
        },
        Column {
            name: "body_part",
            kind: ColumnKind::Text,
        },
        Column {
            name: "is_active",
            kind: ColumnKind::Bool,
        },
    ],
    indexes: &[
        Index {
            columns: &["is_active"],
            sparse: false,
        },
        Index {
            columns: &["modality_code", "is_active"],
            sparse: true,
        },
        Index {
            columns: &["body_part", "is_active"],
            sparse: true,
        },
        Index {
            columns: &["body_part", "modality_code", "is_active"],
            sparse: true,
        },
    ],
};

/// Projection of AI models.
#[derive(Debug, Default)]
pub struct AiModels;

impl ResourceView for AiModels {
    type Aggregate = AiModel;

    const MODEL: &'static ReadModel = &MODEL;

    fn sort_key(resource: &Versioned<AiModel>) -> Vec<u8> {
        sort_key::newest_first(resource.created_at, resource.id.as_uuid())
    }

    fn column_values(resource: &Versioned<AiModel>) -> Vec<Value> {
        let model = &resource.state;
        let body_part = model.body_part.as_ref();
        vec![
            Value::text(model.modality_code.as_ref().map(ModalityCode::as_str)),
            Value::text(body_part.map(BodyPart::key)),
            Value::Bool(model.is_active),
        ]
    }
}

/// Filters of the list.
#[derive(Debug, Default)]
pub struct Filters {
    /// Modality that the model supports.
    pub modality_code: Option<ModalityCode>,
    /// Body part that the model supports, case-insensitive.
    pub body_part: Option<BodyPart>,
    /// Whether the model is active.
    pub is_active: Option<bool>,
}

/// Returns the query for a page of AI models.
pub fn page(
    tenant_id: TenantId,
    filters: &Filters,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    let modality = filters.modality_code.as_ref();
    let modality = modality.map(|code| ("modality_code", Value::Text(code.to_string())));
    let body_part = filters.body_part.as_ref();
    let body_part = body_part.map(|body_part| ("body_part", Value::Text(body_part.key())));
    let leading: Vec<_> = body_part.into_iter().chain(modality).collect();
    ListQuery {
        prefixes: walks::prefixes(&leading, &[walks::truths("is_active", filters.is_active)]),
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}
