//! Read model of the radiologists' worklist, in reading order.
//!
//! The sort key contains the order: first priority, then items with a score of at least [`TRIAGE_THRESHOLD`], highest
//! first, then the other items, oldest first. A page reads one index range per status and merges the ranges. Priority
//! is the first byte of the key, so that a filter on it narrows the range. Modality and body part have an index each
//! and one together, because their values are defined by the tenant and cannot be enumerated. So a filter that matches
//! nothing still reads only a few index entries.

use roentgen_domain::Versioned;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::ids::{PractitionerId, StudyId, TenantId, WorklistItemId};
use roentgen_domain::order::Priority;
use roentgen_domain::score::Score;
use roentgen_domain::worklist_item::{Lifecycle, Status, WorklistItem};
use roentgen_store::read_model::{Column, ColumnKind, Index, ListQuery, ReadModel, Value};

use crate::resource_projection::ResourceView;
use crate::sort_key;
use crate::walks::{self, ColumnEquals};

/// Minimum score with which AI triage moves a case ahead within its priority. It is part of the sort key of each row,
/// so that a change requires a new version of the read model.
pub const TRIAGE_THRESHOLD: f64 = 0.5;

/// Table `worklist_items_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "worklist_items",
    version: 2,
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
            name: "body_part",
            kind: ColumnKind::Text,
        },
        Column {
            name: "radiologist_id",
            kind: ColumnKind::Uuid,
        },
    ],
    indexes: &[
        Index {
            columns: &["status"],
            sparse: false,
        },
        Index {
            columns: &["status", "modality"],
            sparse: false,
        },
        Index {
            columns: &["body_part", "status"],
            sparse: true,
        },
        Index {
            columns: &["body_part", "modality", "status"],
            sparse: true,
        },
        Index {
            columns: &["radiologist_id", "status"],
            sparse: true,
        },
        Index {
            columns: &["radiologist_id", "modality", "status"],
            sparse: true,
        },
        Index {
            columns: &["radiologist_id", "body_part", "status"],
            sparse: true,
        },
        Index {
            columns: &["radiologist_id", "body_part", "modality", "status"],
            sparse: true,
        },
    ],
};

/// Projection of worklist items.
#[derive(Debug, Default)]
pub struct WorklistItems;

impl ResourceView for WorklistItems {
    type Aggregate = WorklistItem;

    const MODEL: &'static ReadModel = &MODEL;

    fn sort_key(resource: &Versioned<WorklistItem>) -> Vec<u8> {
        let item = &resource.state;
        [
            &[rank(item.priority)],
            score_rank(item.triage.score()).as_slice(),
            &sort_key::oldest_first(resource.created_at, resource.id.as_uuid()),
        ]
        .concat()
    }

    fn column_values(resource: &Versioned<WorklistItem>) -> Vec<Value> {
        let item = &resource.state;
        let body_part = item.case.body_part.as_ref();
        vec![
            status(item.status()),
            Value::Text(item.case.modality_code.to_string()),
            Value::text(body_part.map(BodyPart::key)),
            Value::uuid(radiologist(&item.progress).map(PractitionerId::as_uuid)),
        ]
    }
}

/// Returns the first byte of the key: stat, urgent, routine.
const fn rank(priority: Priority) -> u8 {
    match priority {
        Priority::Stat => 0,
        Priority::Urgent => 1,
        Priority::Routine => 2,
    }
}

/// Encodes the score in descending order. Scores below the threshold, and absent ones, are equal and last.
fn score_rank(score: Option<Score>) -> [u8; 8] {
    match score.map(Score::get) {
        Some(score) if score >= TRIAGE_THRESHOLD => (!score.to_bits()).to_be_bytes(),
        Some(_) | None => [u8::MAX; 8],
    }
}

/// Returns the radiologist who holds or has read the item.
fn radiologist(progress: &Lifecycle) -> Option<PractitionerId> {
    match progress {
        Lifecycle::Claimed(holding) | Lifecycle::InProgress(holding) => {
            Some(holding.assigned_radiologist_id)
        }
        Lifecycle::Completed {
            assigned_radiologist_id,
            ..
        } => *assigned_radiologist_id,
        Lifecycle::Pending | Lifecycle::Cancelled => None,
    }
}

fn status(status: Status) -> Value {
    Value::Text(status.to_string())
}

/// Filters of the list.
#[derive(Debug, Default)]
pub struct Filters {
    /// Statuses of the item; if empty, all open ones.
    pub statuses: Vec<Status>,
    /// Modality of the case.
    pub modality: Option<ModalityCode>,
    /// Body part of the case, case-insensitive.
    pub body_part: Option<BodyPart>,
    /// Priority of the item.
    pub priority: Option<Priority>,
    /// Study of the item.
    pub imaging_study_id: Option<StudyId>,
    /// Radiologist who holds or has read the item.
    pub radiologist_id: Option<PractitionerId>,
}

/// Returns the query for a page of worklist items.
pub fn page(
    tenant_id: TenantId,
    filters: &Filters,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    let statuses = match filters.statuses.as_slice() {
        [] => &Status::OPEN,
        asked => asked,
    };
    let statuses = statuses.iter().map(|word| status(*word)).collect();
    let (leading, residual) = match filters.imaging_study_id {
        Some(study) => (
            vec![of_study(study)],
            walks::residual(own(filters).map(Some)),
        ),
        None => (own(filters).collect(), Vec::new()),
    };
    ListQuery {
        prefixes: walks::prefixes(&leading, &[("status", statuses)]),
        filters: residual,
        from: filters.priority.map(|priority| vec![rank(priority)]),
        before: filters.priority.map(|priority| vec![rank(priority) + 1]),
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}

fn of_study(study: StudyId) -> ColumnEquals {
    ("id", Value::Uuid(WorklistItemId::derive(study).as_uuid()))
}

/// Returns the filter conditions; each combination of them is the prefix of an index.
fn own(filters: &Filters) -> impl Iterator<Item = ColumnEquals> + use<> {
    let radiologist = filters
        .radiologist_id
        .map(|id| ("radiologist_id", Value::Uuid(id.as_uuid())));
    let body_part = filters
        .body_part
        .as_ref()
        .map(|body_part| ("body_part", Value::Text(body_part.key())));
    let modality = filters
        .modality
        .as_ref()
        .map(|code| ("modality", Value::Text(code.to_string())));
    radiologist.into_iter().chain(body_part).chain(modality)
}

#[cfg(test)]
mod tests {
    use super::*;
    use roentgen_domain::Timestamp;
    use roentgen_domain::growth::Size;
    use roentgen_domain::ids::StreamId;
    use roentgen_domain::worklist_item::{AiContribution, CaseDetails, Triage};
    use uuid::Uuid;

    fn item(priority: Priority, score: Option<f64>, created: i64) -> Versioned<WorklistItem> {
        let part = score.map(|number| AiContribution {
            ai_model_id: None,
            imaging_ai_task_id: None,
            score: Score::parse(number).ok(),
            flags: Vec::new(),
        });
        let at = Timestamp::from_millis(created).unwrap();
        Versioned {
            id: StreamId::from(Uuid::from_u128(1)),
            tenant_id: TenantId::from(Uuid::from_u128(1)),
            state: WorklistItem {
                patient_id: Uuid::from_u128(7).into(),
                case: CaseDetails {
                    imaging_study_id: Uuid::from_u128(5).into(),
                    imaging_order_id: None,
                    modality_code: ModalityCode::parse("CT").unwrap(),
                    body_part: None,
                    accession_number: None,
                    description: None,
                },
                priority,
                progress: Lifecycle::Pending,
                last_activity_at: at,
                triage: part.into_iter().fold(Triage::default(), Triage::with),
                attention: Vec::new(),
                phi: None,
            },
            created_at: at,
            updated_at: at,
            version: 1,
            size: Size::default(),
        }
    }

    #[test]
    fn reads_by_priority_then_by_score_that_counts_then_by_age() {
        use Priority::{Routine, Stat, Urgent};
        let in_order = [
            item(Stat, Some(0.9), 90),
            item(Stat, Some(0.5), 10),
            item(Stat, Some(0.49), 20),
            item(Stat, None, 30),
            item(Stat, Some(0.1), 40),
            item(Urgent, Some(1.0), 5),
            item(Urgent, None, 1),
            item(Routine, Some(0.51), 7),
            item(Routine, Some(0.5), 6),
            item(Routine, None, -5),
            item(Routine, Some(0.0), 3),
        ];
        let keys = in_order.map(|item| WorklistItems::sort_key(&item));
        assert!(keys.is_sorted(), "{keys:?}");
    }

    #[test]
    fn a_page_of_nothing_in_particular_is_of_open_items() {
        let tenant = TenantId::from(Uuid::from_u128(1));
        let query = page(tenant, &Filters::default(), None, 50);
        let open = Status::OPEN.map(|value| vec![("status", status(value))]);
        assert_eq!(query.prefixes, open);
        assert!(query.filters.is_empty());
    }

    #[test]
    fn every_combination_of_filters_is_walked_by_an_index_of_its_own() {
        for mask in 0..32_u8 {
            let has = |bit: u8| mask & (1 << bit) != 0;
            let filters = Filters {
                statuses: if has(0) {
                    Status::ALL.to_vec()
                } else {
                    Vec::new()
                },
                modality: has(1).then(|| ModalityCode::parse("ct").unwrap()),
                body_part: has(2).then(|| BodyPart::parse("head").unwrap()),
                imaging_study_id: has(3).then(|| Uuid::from_u128(5).into()),
                radiologist_id: has(4).then(|| Uuid::from_u128(6).into()),
                priority: None,
            };
            let query = page(Uuid::from_u128(1).into(), &filters, None, 50);
            assert!(walks::tests::has_its_indexes(&query), "{filters:?}");
            assert_eq!(query.filters.is_empty(), !has(3) || mask & 0b10110 == 0);
        }
    }
}
