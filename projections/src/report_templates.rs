//! Read model of the report templates of the catalog, newest first.

use roentgen_domain::Versioned;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::ids::TenantId;
use roentgen_domain::report_template::ReportTemplate;
use roentgen_store::read_model::{Column, ColumnKind, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks;

/// Table `report_templates_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "report_templates",
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

/// Projection of report templates.
#[derive(Debug, Default)]
pub struct ReportTemplates;

impl ResourceView for ReportTemplates {
    type Aggregate = ReportTemplate;

    const MODEL: &'static ReadModel = &MODEL;

    fn sort_key(resource: &Versioned<ReportTemplate>) -> Vec<u8> {
        sort_key::newest_first(resource.created_at, resource.id.as_uuid())
    }

    fn column_values(resource: &Versioned<ReportTemplate>) -> Vec<Value> {
        let template = &resource.state;
        let modality = template.modality_code.as_ref().map(ModalityCode::as_str);
        let body_part = template.body_part.as_ref();
        vec![
            Value::text(modality),
            Value::text(body_part.map(BodyPart::key)),
            Value::Bool(template.is_active),
        ]
    }
}

/// Filters of the list.
#[derive(Debug, Default)]
pub struct Filters {
    /// Modality of the template.
    pub modality_code: Option<ModalityCode>,
    /// Body part, case-insensitive.
    pub body_part: Option<BodyPart>,
    /// Whether the template is active.
    pub is_active: Option<bool>,
}

/// Returns the query for a page of report templates.
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
