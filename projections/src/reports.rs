//! Read model of reports, newest first.
//!
//! Some callers see released content only. Their pages contain released reports only, so that the pages are as full as
//! those of other callers. For each kind of caller, columns store whether the report is visible and whether it is
//! critical.

use roentgen_domain::ids::{PatientId, PractitionerId, StudyId, TenantId};
use roentgen_domain::report::{Report, Status};
use roentgen_domain::{Timestamp, Versioned};
use roentgen_store::read_model::{Column, ColumnKind, Filter, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks::{self, ColumnEquals};

/// Table `reports_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "reports",
    version: 2,
    columns: &[
        Column {
            name: "radiologist_id",
            kind: ColumnKind::Uuid,
        },
        Column {
            name: "status",
            kind: ColumnKind::Text,
        },
        Column {
            name: "critical_result",
            kind: ColumnKind::Bool,
        },
        Column {
            name: "released",
            kind: ColumnKind::Bool,
        },
        Column {
            name: "released_critical",
            kind: ColumnKind::Bool,
        },
    ],
    indexes: &[
        Index {
            columns: &["patient_id"],
            sparse: false,
        },
        Index {
            columns: &[
                "radiologist_id",
                "status",
                "released",
                "critical_result",
                "released_critical",
            ],
            sparse: false,
        },
        Index {
            columns: &["status", "released", "critical_result", "released_critical"],
            sparse: false,
        },
    ],
};

/// Projection of reports.
#[derive(Debug, Default)]
pub struct Reports;

impl ResourceView for Reports {
    type Aggregate = Report;

    const MODEL: &'static ReadModel = &MODEL;

    fn sort_key(resource: &Versioned<Report>) -> Vec<u8> {
        sort_key::newest_first(resource.created_at, resource.id.as_uuid())
    }

    fn column_values(resource: &Versioned<Report>) -> Vec<Value> {
        let report = &resource.state;
        let released = report.released_critical_result();
        vec![
            Value::Uuid(report.radiologist_id.as_uuid()),
            status(report.status()),
            Value::Bool(report.critical_result),
            Value::Bool(released.is_some()),
            Value::Bool(released == Some(true)),
        ]
    }
}

fn status(status: Status) -> Value {
    Value::Text(status.to_string())
}

/// Filters of the list.
#[derive(Debug, Default)]
pub struct Filters {
    /// Whether to return only released reports, filtered by their released content.
    pub released_only: bool,
    /// Patient of the report.
    pub patient_id: Option<PatientId>,
    /// Radiologist of the report.
    pub radiologist_id: Option<PractitionerId>,
    /// Study of the report.
    pub imaging_study_id: Option<StudyId>,
    /// Status of the report.
    pub status: Option<Status>,
    /// Whether the result is critical.
    pub critical_result: Option<bool>,
    /// Earliest creation time, inclusive.
    pub from: Option<Timestamp>,
    /// Latest creation time, inclusive.
    pub to: Option<Timestamp>,
}

/// Returns the query for a page of reports.
pub fn page(
    tenant_id: TenantId,
    filters: &Filters,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    let (prefixes, residual) = conditions(filters);
    ListQuery {
        prefixes,
        filters: residual,
        from: filters.to.map(sort_key::not_later_than),
        before: filters.from.map(sort_key::not_earlier_than),
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}

/// Returns the index prefixes of a page, and the row filters that they do not cover.
fn conditions(filters: &Filters) -> (Vec<Vec<ColumnEquals>>, Vec<Filter>) {
    let radiologist = filters
        .radiologist_id
        .map(|id| ("radiologist_id", Value::Uuid(id.as_uuid())));
    let patient = filters
        .patient_id
        .map(|id| ("patient_id", Value::Uuid(id.as_uuid())));
    let study = filters.imaging_study_id.map(|study| {
        let id = roentgen_domain::ids::ReportId::derive(study);
        ("id", Value::Uuid(id.as_uuid()))
    });
    // A study has one report, a patient a few.
    let Some(narrow) = study.or(patient.clone()) else {
        return (by_status(radiologist.as_ref(), filters), Vec::new());
    };
    let is_status = filters.status.map(|word| ("status", status(word)));
    let own = [patient, radiologist, is_status];
    let seen = visibility_conditions(filters).map(Some);
    (
        vec![vec![narrow]],
        walks::residual(own.into_iter().chain(seen)),
    )
}

/// Returns the conditions on the content that the caller may see.
fn visibility_conditions(filters: &Filters) -> impl Iterator<Item = ColumnEquals> + use<> {
    let released = filters
        .released_only
        .then_some(("released", Value::Bool(true)));
    let column = if filters.released_only {
        "released_critical"
    } else {
        "critical_result"
    };
    let critical = filters
        .critical_result
        .map(|critical_result| (column, Value::Bool(critical_result)));
    released.into_iter().chain(critical)
}

fn statuses(filters: &Filters) -> Vec<Status> {
    filters
        .status
        .map_or(Status::ALL.to_vec(), |status| vec![status])
}

/// Returns the prefixes of the third index, or of the second one if the radiologist is given: one prefix per status and
/// valid combination of flags, of which there are few.
fn by_status(radiologist: Option<&ColumnEquals>, filters: &Filters) -> Vec<Vec<ColumnEquals>> {
    let is = |asked: Option<bool>, of: bool| asked.is_none_or(|flag| flag == of);
    let mut prefixes = Vec::new();
    for of in statuses(filters) {
        for mark in valid_flags(of) {
            let (released, critical, released_critical) = *mark;
            let shown = if filters.released_only {
                released && is(filters.critical_result, released_critical)
            } else {
                is(filters.critical_result, critical)
            };
            if shown {
                prefixes.push(prefix(radiologist, of, *mark));
            }
        }
    }
    if prefixes.is_empty() {
        // The caller may not see the requested status. A query needs at least one prefix, and this one matches no row.
        prefixes.push(prefix(radiologist, Status::Draft, (true, true, true)));
    }
    prefixes
}

fn prefix(
    radiologist: Option<&ColumnEquals>,
    of: Status,
    (released, critical, released_critical): ReleaseFlags,
) -> Vec<ColumnEquals> {
    let marks = [
        ("status", status(of)),
        ("released", Value::Bool(released)),
        ("critical_result", Value::Bool(critical)),
        ("released_critical", Value::Bool(released_critical)),
    ];
    radiologist.cloned().into_iter().chain(marks).collect()
}

/// Columns `released`, `critical_result` and `released_critical`.
type ReleaseFlags = (bool, bool, bool);

/// Returns the combinations of flags that are possible in a status.
const fn valid_flags(of: Status) -> &'static [ReleaseFlags] {
    const UNRELEASED: [ReleaseFlags; 2] = [(false, false, false), (false, true, false)];
    const RELEASED: [ReleaseFlags; 4] = [
        (true, false, false),
        (true, false, true),
        (true, true, false),
        (true, true, true),
    ];
    match of {
        Status::Draft => &UNRELEASED,
        Status::Preliminary => &RELEASED,
        Status::Final | Status::Corrected => &[(true, false, false), (true, true, true)],
        Status::Cancelled => &[
            (false, false, false),
            (false, true, false),
            (true, false, false),
            (true, false, true),
            (true, true, false),
            (true, true, true),
        ],
    }
}
