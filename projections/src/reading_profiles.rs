//! Read model of the radiologists' reading profiles, newest first.

use roentgen_domain::Versioned;
use roentgen_domain::ids::{PractitionerId, ReadingProfileId, TenantId};
use roentgen_domain::reading_profile::ReadingProfile;
use roentgen_store::read_model::{Column, ColumnKind, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks;

/// Table `reading_profiles_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "reading_profiles",
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

/// Projection of reading profiles.
#[derive(Debug, Default)]
pub struct ReadingProfiles;

impl ResourceView for ReadingProfiles {
    type Aggregate = ReadingProfile;

    const MODEL: &'static ReadModel = &MODEL;

    fn sort_key(resource: &Versioned<ReadingProfile>) -> Vec<u8> {
        sort_key::newest_first(resource.created_at, resource.id.as_uuid())
    }

    fn column_values(resource: &Versioned<ReadingProfile>) -> Vec<Value> {
        vec![Value::Bool(resource.state.is_active)]
    }
}

/// Filters of the list.
#[derive(Debug, Default)]
pub struct Filters {
    /// Practitioner of the profile.
    pub practitioner_id: Option<PractitionerId>,
    /// Whether the profile is active.
    pub is_active: Option<bool>,
}

/// Returns the query for a page of reading profiles.
pub fn page(
    tenant_id: TenantId,
    filters: &Filters,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    let query = ListQuery::all(&MODEL, tenant_id, after, limit);
    if let Some(practitioner) = filters.practitioner_id {
        let id = ReadingProfileId::derive(tenant_id, practitioner);
        let active = filters.is_active.map(Value::Bool);
        return ListQuery {
            prefixes: vec![vec![("id", Value::Uuid(id.as_uuid()))]],
            filters: walks::residual([active.map(|truth| ("is_active", truth))]),
            ..query
        };
    }
    ListQuery {
        prefixes: walks::prefixes(&[], &[walks::truths("is_active", filters.is_active)]),
        ..query
    }
}
