//! Imaging orders, newest first by `requested_at`.
//!
//! Every documented filter is answered by one of three indexes. Status and priority have few values, so that a page
//! that leaves one open walks the index once for each value and merges: also a filter that matches nothing among a
//! million orders touches no more than a handful of index entries.

use roentgen_domain::dicom::AccessionNumber;
use roentgen_domain::ids::{EncounterId, OrderId, PatientId, TenantId};
use roentgen_domain::order::{Order, Priority, Status};
use roentgen_domain::{Timestamp, Versioned};
use roentgen_store::read_model::{Column, ColumnKind, Filter, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks::{self, ColumnEquals};

/// `orders_v2`.
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

/// How an order becomes a row.
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

/// Which orders a page is about.
#[derive(Debug, Default)]
pub struct Filters {
    /// One patient's.
    pub patient_id: Option<PatientId>,
    /// One visit's.
    pub encounter_id: Option<EncounterId>,
    /// The one with this accession number.
    pub accession_number: Option<AccessionNumber>,
    /// Those that are so far.
    pub status: Option<Status>,
    /// Those that are so urgent.
    pub priority: Option<Priority>,
    /// Requested then or later.
    pub from: Option<Timestamp>,
    /// Requested then or earlier.
    pub to: Option<Timestamp>,
}

/// A page of orders.
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

/// What leaves few rows by itself.
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

/// What the prefix does not say already.
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
