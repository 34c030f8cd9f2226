//! Imaging orders, newest first by `requested_at`.
//!
//! Every documented filter is answered by one of three indexes. Status and priority have few values, so that a page
//! that leaves one open walks the index once for each value and merges: also a filter that matches nothing among a
//! million orders touches no more than a handful of index entries.

use roentgen_domain::dicom::AccessionNumber;
use roentgen_domain::ids::{EncounterId, OrderId, PatientId, TenantId};
use roentgen_domain::order::{Order, Priority, Status};
use roentgen_domain::{Timestamp, Versioned};
use roentgen_store::model::{Column, ColumnKind, Filter, Index, ListQuery, Model, Value};

use crate::documents::View;
use crate::sort_key;

/// `orders_v1`.
pub static MODEL: Model = Model {
    name: "orders",
    version: 1,
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

impl View for Orders {
    type Aggregate = Order;

    const MODEL: &'static Model = &MODEL;

    fn sort_key(resource: &Versioned<Order>) -> Vec<u8> {
        sort_key::newest_first(resource.state.request.requested_at, resource.id.as_uuid())
    }

    fn values(resource: &Versioned<Order>) -> Vec<Value> {
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
        prefixes: prefixes(tenant_id, filters),
        filters: residual(filters),
        from: filters.to.map(sort_key::not_later_than),
        before: filters.from.map(sort_key::not_earlier_than),
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}

fn prefixes(tenant: TenantId, filters: &Filters) -> Vec<Vec<(&'static str, Value)>> {
    if let Some(accession) = &filters.accession_number {
        let id = OrderId::of(tenant, accession);
        return vec![vec![("id", Value::Uuid(id.as_uuid()))]];
    }
    if let Some(patient) = filters.patient_id {
        return vec![vec![("patient_id", Value::Uuid(patient.as_uuid()))]];
    }
    if let Some(encounter) = filters.encounter_id {
        return vec![vec![("encounter_id", Value::Uuid(encounter.as_uuid()))]];
    }
    let statuses = filters.status.map_or(Status::ALL.to_vec(), |it| vec![it]);
    let priorities = filters
        .priority
        .map_or(Priority::ALL.to_vec(), |it| vec![it]);
    statuses
        .into_iter()
        .flat_map(|of| priorities.iter().map(move |it| (of, *it)))
        .map(|(of, it)| vec![("status", status(of)), ("priority", priority(it))])
        .collect()
}

/// What the prefix does not say already.
fn residual(filters: &Filters) -> Vec<Filter> {
    let one_of_few = filters.accession_number.is_some()
        || filters.patient_id.is_some()
        || filters.encounter_id.is_some();
    if !one_of_few {
        return Vec::new();
    }
    let equal = [
        (
            "patient_id",
            filters.patient_id.map(|it| Value::Uuid(it.as_uuid())),
        ),
        (
            "encounter_id",
            filters.encounter_id.map(|it| Value::Uuid(it.as_uuid())),
        ),
        ("status", filters.status.map(status)),
        ("priority", filters.priority.map(priority)),
    ];
    equal
        .into_iter()
        .filter_map(|(column, it)| Some(Filter::Is(column, it?)))
        .collect()
}
