//! Read model of the modalities of the catalog, newest first.

use roentgen_domain::Versioned;
use roentgen_domain::ids::TenantId;
use roentgen_domain::modality::Modality;
use roentgen_store::read_model::{Column, ColumnKind, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks;

/// Table `modalities_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "modalities",
    version: 2,
    columns: &[Column {
        name: "is_active",
        kind: ColumnKind::Bool,
    }],
    indexes: &[Index {
        columns: &["is_active"],
        sparse: false,
    }],
};

/// Projection of modalities.
#[derive(Debug, Default)]
pub struct Modalities;

impl ResourceView for Modalities {
    type Aggregate = Modality;

    const MODEL: &'static ReadModel = &MODEL;

    fn sort_key(resource: &Versioned<Modality>) -> Vec<u8> {
        sort_key::newest_first(resource.created_at, resource.id.as_uuid())
    }

    fn column_values(resource: &Versioned<Modality>) -> Vec<Value> {
        vec![Value::Bool(resource.state.is_active)]
    }
}

/// Filters of the list.
#[derive(Debug, Default)]
pub struct Filters {
    /// Whether the modality is active.
    pub is_active: Option<bool>,
}

/// Returns the query for a page of modalities.
pub fn page(
    tenant_id: TenantId,
    filters: &Filters,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    ListQuery {
        prefixes: walks::prefixes(&[], &[walks::truths("is_active", filters.is_active)]),
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}
