//! Read model of the procedures of the catalog, newest first.

use roentgen_domain::body_part::BodyPart;
use roentgen_domain::ids::{ModalityId, TenantId};
use roentgen_domain::procedure::Procedure;
use roentgen_domain::{Versioned, caseless};
use roentgen_store::read_model::{Column, ColumnKind, Filter, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks;

/// Table `procedures_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "procedures",
    version: 2,
    columns: &[
        Column {
            name: "modality_id",
            kind: ColumnKind::Uuid,
        },
        Column {
            name: "body_part",
            kind: ColumnKind::Text,
        },
        Column {
            name: "search",
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
            columns: &["modality_id", "is_active"],
            sparse: false,
        },
        Index {
            columns: &["body_part", "is_active"],
            sparse: true,
        },
        Index {
            columns: &["body_part", "modality_id", "is_active"],
            sparse: true,
        },
    ],
};

/// Projection of procedures.
#[derive(Debug, Default)]
pub struct Procedures;

impl ResourceView for Procedures {
    type Aggregate = Procedure;

    const MODEL: &'static ReadModel = &MODEL;

    fn sort_key(resource: &Versioned<Procedure>) -> Vec<u8> {
        sort_key::newest_first(resource.created_at, resource.id.as_uuid())
    }

    fn column_values(resource: &Versioned<Procedure>) -> Vec<Value> {
        let procedure = &resource.state;
        let searched = format!("{}\n{}", procedure.code, procedure.name);
        vec![
            Value::Uuid(procedure.modality_id.as_uuid()),
            Value::text(procedure.body_part.as_ref().map(BodyPart::key)),
            Value::Text(caseless::folded(&searched)),
            Value::Bool(procedure.is_active),
        ]
    }
}

/// Filters of the list.
#[derive(Debug, Default)]
pub struct Filters {
    /// Modality of the procedure.
    pub modality_id: Option<ModalityId>,
    /// Body part, case-insensitive.
    pub body_part: Option<BodyPart>,
    /// Text that code or name contains, case-insensitive.
    pub search: Option<String>,
    /// Whether the procedure is active.
    pub is_active: Option<bool>,
}

/// Returns the query for a page of procedures.
pub fn page(
    tenant_id: TenantId,
    filters: &Filters,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    let modality = filters.modality_id;
    let modality = modality.map(|id| ("modality_id", Value::Uuid(id.as_uuid())));
    let body_part = filters
        .body_part
        .as_ref()
        .map(|body_part| ("body_part", Value::Text(body_part.key())));
    let leading: Vec<_> = body_part.into_iter().chain(modality).collect();
    let search = filters
        .search
        .as_ref()
        .map(|text| Filter::Contains("search", caseless::folded(text)));
    ListQuery {
        prefixes: walks::prefixes(&leading, &[walks::truths("is_active", filters.is_active)]),
        filters: search.into_iter().collect(),
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}
