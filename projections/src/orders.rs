//! Read model of imaging orders, newest first by `requested_at`.
//!
//! One of three indexes supports each documented filter. Status and priority have few values. If a filter on one of
//! them is absent, a page reads one index range per value and merges the ranges. So a filter that matches none of a
//! million orders still reads only a few index entries.

use roentgen_domain::dicom::AccessionNumber;
use roentgen_domain::ids::{EncounterId, OrderId, PatientId, TenantId};
use roentgen_domain::order::{Order, Priority, Status};
use roentgen_domain::{Timestamp, Versioned};
use roentgen_store::read_model::{Column, ColumnKind, Filter, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks::{self, ColumnEquals};

/// Table `orders_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "orders",
    version: 2,
    columns: &[
        Column {
            name: "encounter_id",
            kind: ColumnKind::Uuid,
        },
        Column {
            name: "status",
            kind: ColumnKind::Text,
        },
        Column {
            name: "priority",
            kind: ColumnKind::Text,
        },
    ],
    indexes: &[
        Index {
            columns: &["patient_id"],
            sparse: false,
        },
        Index {
            columns: &["encounter_id"],
            sparse: true,
        },
        Index {
            columns: &["status", "priority"],
            sparse: false,
        },
    ],
};

/// Projection of orders.
#[derive(Debug, Default)]
pub struct Orders;

impl ResourceView for Orders {
    type Aggregate = Order;

    const MODEL: &'static ReadModel = &MODEL;

    fn sort_key(resource: &Versioned<Order>) -> Vec<u8> {
        sort_key::newest_first(resource.state.request.requested_at, resource.id.as_uuid())
    }

    fn column_values(resource: &Versioned<Order>) -> Vec<Value> {
        let order = &resource.state;
        vec![
            Value::uuid(order.request.encounter_id.map(EncounterId::as_uuid)),
            status(order.progress.status()),
            priority(order.request.priority),
        ]
    }
}

fn status(status: Status) -> Value {
    Value::Text(status.to_string())
}

fn priority(priority: Priority) -> Value {
    Value::Text(priority.to_string())
}

/// Filters of the list.
#[derive(Debug, Default)]
pub struct Filters {
    /// Patient of the order.
    pub patient_id: Option<PatientId>,
    /// Encounter of the order.
    pub encounter_id: Option<EncounterId>,
    /// Accession number of the order.
    pub accession_number: Option<AccessionNumber>,
    /// Status of the order.
    pub status: Option<Status>,
    /// Priority of the order.
    pub priority: Option<Priority>,
    /// Earliest time of the request, inclusive.
    pub from: Option<Timestamp>,
    /// Latest time of the request, inclusive.
    pub to: Option<Timestamp>,
}

/// Returns the query for a page of orders.
pub fn page(
    tenant_id: TenantId,
    filters: &Filters,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    ListQuery {
        prefixes: index_prefixes(tenant_id, filters),
        filters: row_filters(tenant_id, filters),
        from: filters.to.map(sort_key::not_later_than),
        before: filters.from.map(sort_key::not_earlier_than),
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}

fn index_prefixes(tenant: TenantId, filters: &Filters) -> Vec<Vec<ColumnEquals>> {
    match narrow(tenant, filters) {
        Some(narrow) => vec![vec![narrow]],
        None => walks::prefixes(
            &[],
            &[
                walks::words("status", filters.status, Status::ALL),
                walks::words("priority", filters.priority, Priority::ALL),
            ],
        ),
    }
}

/// Returns the condition that alone leaves few rows, if any.
fn narrow(tenant: TenantId, filters: &Filters) -> Option<ColumnEquals> {
    let accession = filters.accession_number.as_ref();
    let order = accession.map(|number| OrderId::derive(tenant, number).as_uuid());
    let patient = filters.patient_id.map(PatientId::as_uuid);
    let encounter = filters.encounter_id.map(EncounterId::as_uuid);
    let narrow = [
        ("id", order),
        ("patient_id", patient),
        ("encounter_id", encounter),
    ];
    narrow
        .into_iter()
        .find_map(|(column, id)| Some((column, Value::Uuid(id?))))
}

/// Returns the row filters that the prefix does not cover.
fn row_filters(tenant: TenantId, filters: &Filters) -> Vec<Filter> {
    if narrow(tenant, filters).is_none() {
        return Vec::new();
    }
    let patient = filters.patient_id.map(|id| Value::Uuid(id.as_uuid()));
    let encounter = filters.encounter_id.map(|id| Value::Uuid(id.as_uuid()));
    walks::residual([
        patient.map(|id| ("patient_id", id)),
        encounter.map(|id| ("encounter_id", id)),
        filters.status.map(|word| ("status", status(word))),
        filters.priority.map(|word| ("priority", priority(word))),
    ])
}
