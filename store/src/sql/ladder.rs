//! Test support: a read model whose index columns are subsets of one another, and scans for which a planner could
//! choose the wrong index.

use roentgen_domain::ids::TenantId;
use uuid::Uuid;

use crate::read_model::{
    Column, ColumnKind, Filter, Index, ListQuery, ReadModel, Row, Table, Value,
};

pub(crate) fn tenant() -> TenantId {
    Uuid::from_u128(7).into()
}

pub(crate) static LADDER: ReadModel = ReadModel {
    name: "ladder",
    version: 1,
    columns: &[
        Column {
            name: "status",
            kind: ColumnKind::Text,
        },
        Column {
            name: "modality",
            kind: ColumnKind::Text,
        },
        Column {
            name: "holder",
            kind: ColumnKind::Uuid,
        },
    ],
    indexes: &[
        Index {
            columns: &[],
            sparse: false,
        },
        Index {
            columns: &["status"],
            sparse: false,
        },
        Index {
            columns: &["modality", "status"],
            sparse: false,
        },
        Index {
            columns: &["holder", "modality", "status"],
            sparse: true,
        },
    ],
};

pub(crate) const TABLE: Table = Table {
    model: &LADDER,
    generation: 1,
};

/// Returns identical rows: by the statistics, no condition excludes any of them.
pub(crate) fn rows(numbers: std::ops::Range<u64>) -> Vec<Row> {
    numbers
        .map(|number| Row {
            id: Uuid::from_u128(u128::from(number)),
            tenant_id: tenant(),
            patient_id: None,
            version: 1,
            sort_key: number.to_be_bytes().to_vec(),
            values: vec![
                Value::Text("pending".to_owned()),
                Value::Text("CT".to_owned()),
                Value::Uuid(Uuid::from_u128(1)),
            ],
            document: "{}".to_owned(),
            sealed: Vec::new(),
        })
        .collect()
}

/// Returns scans without results, each with the index that must be used; `None` is the primary key.
pub(crate) fn walks() -> Vec<(ListQuery, Option<&'static str>)> {
    let status = ("status", Value::Text("cancelled".to_owned()));
    let modality = ("modality", Value::Text("MR".to_owned()));
    let holder = ("holder", Value::Uuid(Uuid::from_u128(2)));
    let id = ("id", Value::Uuid(Uuid::from_u128(u128::MAX)));
    let by = |prefix: Vec<_>| ListQuery {
        prefixes: vec![prefix],
        ..ListQuery::all(&LADDER, tenant(), None, 50)
    };
    let asked = |(column, value): &(&'static str, Value)| Filter::Equals(column, value.clone());
    let of_row = ListQuery {
        filters: vec![asked(&status), asked(&modality), asked(&holder)],
        ..by(vec![id])
    };
    let of_status = ListQuery {
        filters: vec![asked(&modality), asked(&holder)],
        ..by(vec![status.clone()])
    };
    let all = ListQuery {
        filters: vec![asked(&modality), asked(&status)],
        ..by(Vec::new())
    };
    let of_modality = by(vec![modality.clone(), status.clone()]);
    let of_holder = by(vec![holder, modality, status]);
    vec![
        (of_row, None),
        (all, Some("ladder_v1_by_sort_key")),
        (of_status, Some("ladder_v1_by_status_sort_key")),
        (of_modality, Some("ladder_v1_by_modality_status_sort_key")),
        (
            of_holder,
            Some("ladder_v1_by_holder_modality_status_sort_key"),
        ),
    ]
}
