//! Reports, newest first.
//!
//! Some see released content only. What they may not see is not in their pages, so that a page is as full for them as
//! for everybody: `shown` says of each row which of the two see it, and in which status and mark they see it.

use roentgen_domain::ids::{PatientId, PractitionerId, StudyId, TenantId};
use roentgen_domain::report::{Report, Status};
use roentgen_domain::{Timestamp, Versioned};
use roentgen_store::read_model::{Column, ColumnKind, Filter, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks::{self, ColumnEquals};

/// `reports_v2`.
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

/// How a report becomes a row.
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

/// Which reports a page is about.
#[derive(Debug, Default)]
pub struct Filters {
    /// Released ones only, by what of them is released.
    pub released_only: bool,
    /// One patient's.
    pub patient_id: Option<PatientId>,
    /// One radiologist's.
    pub radiologist_id: Option<PractitionerId>,
    /// The one of this study.
    pub imaging_study_id: Option<StudyId>,
    /// Those that are so far.
    pub status: Option<Status>,
    /// Critical ones, or those that are not.
    pub critical_result: Option<bool>,
    /// Begun then or later.
    pub from: Option<Timestamp>,
    /// Begun then or earlier.
    pub to: Option<Timestamp>,
}

/// A page of reports.
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

/// The index prefixes that the page is walked by, and what they do not say.
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

/// What of a row its readers see, as conditions.
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

/// The whole of the third index, or of the second for one radiologist: each of the other columns has few values, and
/// few of them go together.
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
        // Drafts, asked for by who sees none: a walk over nothing is still a walk.
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

/// `released`, `critical_result` and `released_critical`.
type ReleaseFlags = (bool, bool, bool);

/// What of them goes together in a status.
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
