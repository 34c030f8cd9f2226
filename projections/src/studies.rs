//! Read model of imaging studies, newest first by `started_at`, or by creation time if absent.
//!
//! Status and link have few values. If a filter on one of them is absent, a page reads one index range per value and
//! merges the ranges. So a filter that matches nothing still reads only a few index entries. Codes are compared in
//! upper case.

use roentgen_domain::codes::ModalityCode;
use roentgen_domain::dicom::{AccessionNumber, Uid};
use roentgen_domain::ids::{PatientId, StudyId, TenantId};
use roentgen_domain::study::{OrderLinkStatus, Status, Study};
use roentgen_domain::{Timestamp, Versioned};
use roentgen_store::read_model::{Column, ColumnKind, Filter, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks::{self, ColumnEquals};

/// Table `studies_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "studies",
    version: 2,
    columns: &[
        Column {
            name: "accession_number",
            kind: ColumnKind::Text,
        },
        Column {
            name: "modality_code",
            kind: ColumnKind::Text,
        },
        Column {
            name: "status",
            kind: ColumnKind::Text,
        },
        Column {
            name: "link",
            kind: ColumnKind::Text,
        },
    ],
    indexes: &[
        Index {
            columns: &["patient_id"],
            sparse: false,
        },
        Index {
            columns: &["accession_number"],
            sparse: true,
        },
        Index {
            columns: &["modality_code", "status", "link"],
            sparse: false,
        },
        Index {
            columns: &["status", "link"],
            sparse: false,
        },
    ],
};

/// Projection of studies.
#[derive(Debug, Default)]
pub struct Studies;

impl ResourceView for Studies {
    type Aggregate = Study;

    const MODEL: &'static ReadModel = &MODEL;

    fn sort_key(resource: &Versioned<Study>) -> Vec<u8> {
        let time = resource.state.details.started_at;
        sort_key::newest_first(time.unwrap_or(resource.created_at), resource.id.as_uuid())
    }

    fn column_values(resource: &Versioned<Study>) -> Vec<Value> {
        let study = &resource.state;
        let accession = study.details.accession_number.as_ref();
        vec![
            Value::text(accession.map(AccessionNumber::as_str)),
            Value::Text(study.details.modality_code.to_string()),
            Value::Text(study.status.to_string()),
            Value::Text(study.linking.name().to_string()),
        ]
    }
}

/// Filters of the list.
#[derive(Debug, Default)]
pub struct Filters {
    /// Patient of the study.
    pub patient_id: Option<PatientId>,
    /// Modality of the study.
    pub modality_code: Option<ModalityCode>,
    /// Accession number of the study.
    pub accession_number: Option<AccessionNumber>,
    /// Study Instance UID.
    pub study_instance_uid: Option<Uid>,
    /// Status: available or archived.
    pub status: Option<Status>,
    /// Order link: linked, unlinked or in conflict.
    pub link: Option<OrderLinkStatus>,
    /// Earliest start of the study, inclusive.
    pub from: Option<Timestamp>,
    /// Latest start of the study, inclusive.
    pub to: Option<Timestamp>,
}

/// Returns the query for a page of studies.
pub fn page(
    tenant_id: TenantId,
    filters: &Filters,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    let (prefixes, filters_left) = match selective_prefix(tenant_id, filters) {
        Some(prefix) => (vec![vec![prefix]], residual(filters)),
        None => (broad_prefixes(filters), Vec::new()),
    };
    ListQuery {
        prefixes,
        filters: filters_left,
        from: filters.to.map(sort_key::not_later_than),
        before: filters.from.map(sort_key::not_earlier_than),
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}

/// Returns the condition that alone leaves few rows, if any.
fn selective_prefix(tenant: TenantId, filters: &Filters) -> Option<ColumnEquals> {
    if let Some(uid) = &filters.study_instance_uid {
        return Some(("id", Value::Uuid(StudyId::derive(tenant, uid).as_uuid())));
    }
    if let Some(accession) = &filters.accession_number {
        let accession = Value::Text(accession.to_string());
        return Some(("accession_number", accession));
    }
    let patient = filters.patient_id?;
    Some(("patient_id", Value::Uuid(patient.as_uuid())))
}

fn broad_prefixes(filters: &Filters) -> Vec<Vec<ColumnEquals>> {
    let modality = filters.modality_code.as_ref();
    let modality = modality.map(|code| ("modality_code", Value::Text(code.to_string())));
    walks::prefixes(
        modality.as_slice(),
        &[
            walks::words("status", filters.status, Status::ALL),
            walks::words("link", filters.link, OrderLinkStatus::ALL),
        ],
    )
}

fn residual(filters: &Filters) -> Vec<Filter> {
    let patient = filters.patient_id.map(|id| Value::Uuid(id.as_uuid()));
    let text = |text: &dyn ToString| Value::Text(text.to_string());
    let accession = filters.accession_number.as_ref().map(|known| text(known));
    let modality = filters.modality_code.as_ref().map(|known| text(known));
    walks::residual([
        patient.map(|id| ("patient_id", id)),
        accession.map(|number| ("accession_number", number)),
        modality.map(|code| ("modality_code", code)),
        filters.status.map(|word| ("status", text(&word))),
        filters.link.map(|word| ("link", text(&word))),
    ])
}
