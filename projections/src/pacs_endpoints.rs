//! Read model of the PACS endpoints of the catalog, newest first.

use roentgen_domain::Versioned;
use roentgen_domain::ids::TenantId;
use roentgen_domain::pacs_endpoint::PacsEndpoint;
use roentgen_store::read_model::{Column, ColumnKind, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks;

/// Table `pacs_endpoints_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "pacs_endpoints",
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

/// Projection of PACS endpoints.
#[derive(Debug, Default)]
pub struct PacsEndpoints;

impl ResourceView for PacsEndpoints {
    type Aggregate = PacsEndpoint;

    const MODEL: &'static ReadModel = &MODEL;

    fn sort_key(resource: &Versioned<PacsEndpoint>) -> Vec<u8> {
        sort_key::newest_first(resource.created_at, resource.id.as_uuid())
    }

    fn column_values(resource: &Versioned<PacsEndpoint>) -> Vec<Value> {
        vec![Value::Bool(resource.state.is_active)]
    }
}

/// Returns the query for a page of PACS endpoints.
pub fn page(
    tenant_id: TenantId,
    is_active: Option<bool>,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    ListQuery {
        prefixes: walks::prefixes(&[], &[walks::truths("is_active", is_active)]),
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}
