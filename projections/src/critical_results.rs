//! Read model of critical results, oldest first, so that the longest-waiting result is on top.
//!
//! Each report has a row, because a row is folded from its stream. Reports without a critical result are in no index.

use roentgen_domain::Versioned;
use roentgen_domain::ids::TenantId;
use roentgen_domain::report::Report;
use roentgen_store::read_model::{Column, ColumnKind, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;

/// Table `critical_results_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "critical_results",
    version: 2,
    columns: &[Column {
        name: "standing",
        kind: ColumnKind::Text,
    }],
    indexes: &[Index {
        columns: &["standing"],
        sparse: true,
    }],
};

/// Communication status of a critical result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CriticalResultStatus {
    /// Not communicated, and not overdue.
    Open,
    /// Not communicated by the deadline.
    Overdue,
    /// Communicated.
    Communicated,
}

roentgen_domain::wire_enum! {
    CriticalResultStatus: Open = "open", Overdue = "overdue", Communicated = "communicated";
}

impl CriticalResultStatus {
    /// Returns the status of a report's critical result, or `None` if it has none.
    pub fn from_report(report: &Report) -> Option<Self> {
        report.critical.as_ref()?;
        Some(match report.open_critical() {
            None => Self::Communicated,
            Some(critical) if critical.overdue => Self::Overdue,
            Some(_) => Self::Open,
        })
    }
}

/// Projection of reports to critical results.
#[derive(Debug, Default)]
pub struct CriticalResults;

impl ResourceView for CriticalResults {
    type Aggregate = Report;

    const MODEL: &'static ReadModel = &MODEL;

    fn sort_key(resource: &Versioned<Report>) -> Vec<u8> {
        let raised = resource.state.critical.map(|critical| critical.raised_at);
        sort_key::oldest_first(raised.unwrap_or(resource.created_at), resource.id.as_uuid())
    }

    fn column_values(resource: &Versioned<Report>) -> Vec<Value> {
        let standing = CriticalResultStatus::from_report(&resource.state);
        vec![Value::text(standing.map(|status| status.to_string()))]
    }
}

/// Returns the query for a page of critical results with the given statuses.
pub fn page(
    tenant_id: TenantId,
    standings: &[CriticalResultStatus],
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    let of = |status: &CriticalResultStatus| vec![("standing", Value::Text(status.to_string()))];
    ListQuery {
        prefixes: standings.iter().map(of).collect(),
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}
