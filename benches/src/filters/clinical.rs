//! Orders, studies, worklist items and reports: 9 in 10 are completed, as in a hospital after some years.

use roentgen_domain::Timestamp;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::dicom::{AccessionNumber, Uid};
use roentgen_domain::ids::StudyId;
use roentgen_domain::order;
use roentgen_domain::{report, study, worklist_item};
use roentgen_projections::{orders as order_list, reports as report_list};
use roentgen_projections::{sort_key, studies as study_list, worklist_items as item_list};
use roentgen_store::read_model::Value;
use uuid::Uuid;

use super::{Choice, List, PAGE_SIZE, id};
use crate::database::TENANT;

/// Creation time of the first row; one row follows each minute.
const BEGAN_MS: i64 = 1_500_000_000_000;
const MINUTE_MS: i64 = 60_000;
/// Number of radiologists.
const RADIOLOGISTS: u64 = 20;
/// Id that no row has.
const NOBODY: Uuid = Uuid::from_u128(u128::MAX);

fn at(minutes: i64) -> Option<Timestamp> {
    Timestamp::from_millis(BEGAN_MS + minutes * MINUTE_MS)
}

pub(super) fn newest_first(number: u64) -> Vec<u8> {
    let minutes = i64::try_from(number).unwrap_or_default();
    at(minutes).map_or_else(Vec::new, |time| sort_key::newest_first(time, id(number)))
}

pub(super) fn text(word: impl ToString) -> Value {
    Value::Text(word.to_string())
}

/// Returns `first` for 9 in 10 rows, and one of `others` for the rest.
pub(super) fn mostly<T: Copy>(number: u64, first: T, others: &[T]) -> T {
    let other = usize::try_from(number / 10).unwrap_or_default() % others.len().max(1);
    match number % 10 {
        0 => others.get(other).copied().unwrap_or(first),
        _ => first,
    }
}

fn accession(text: &str) -> Option<AccessionNumber> {
    AccessionNumber::parse(text).ok()
}

fn modality(code: &str) -> Option<ModalityCode> {
    ModalityCode::parse(code).ok()
}

pub(super) fn orders() -> List<order_list::Filters> {
    use order::{Priority, Status};
    let filters: Vec<Choice<order_list::Filters>> = vec![
        vec![
            ("patient", |asked| asked.patient_id = Some(id(500).into())),
            ("no patient's", |asked| {
                asked.patient_id = Some(NOBODY.into())
            }),
        ],
        vec![
            ("encounter", |asked| {
                asked.encounter_id = Some(id(500).into())
            }),
            ("no encounter's", |asked| {
                asked.encounter_id = Some(NOBODY.into())
            }),
        ],
        vec![("no accession number", |asked| {
            asked.accession_number = accession("NONE")
        })],
        vec![
            ("completed", |asked| asked.status = Some(Status::Completed)),
            ("cancelled", |asked| asked.status = Some(Status::Cancelled)),
        ],
        vec![
            ("routine", |asked| asked.priority = Some(Priority::Routine)),
            ("stat", |asked| asked.priority = Some(Priority::Stat)),
        ],
        vec![
            ("from the beginning", |asked| asked.from = at(0)),
            ("from the end", |asked| asked.from = at(1 << 30)),
        ],
        vec![
            ("to the end", |asked| asked.to = at(1 << 30)),
            ("to the beginning", |asked| asked.to = at(-1)),
        ],
    ];
    List {
        model: &order_list::MODEL,
        sort_key: newest_first,
        values: |number| {
            let status = mostly(
                number,
                Status::Completed,
                &[Status::Requested, Status::Scheduled],
            );
            vec![
                Value::Uuid(id(number / 2)),
                text(status),
                text(mostly(number, Priority::Routine, &[Priority::Urgent])),
            ]
        },
        filters,
        page: |filters| order_list::page(TENANT.into(), filters, None, PAGE_SIZE),
    }
}

pub(super) fn studies() -> List<study_list::Filters> {
    use study::{OrderLinkStatus, Status};
    let filters: Vec<Choice<study_list::Filters>> = vec![
        vec![
            ("patient", |asked| asked.patient_id = Some(id(500).into())),
            ("no patient's", |asked| {
                asked.patient_id = Some(NOBODY.into())
            }),
        ],
        vec![
            ("CT", |asked| asked.modality_code = modality("CT")),
            ("PT", |asked| asked.modality_code = modality("PT")),
        ],
        vec![
            ("accession number", |asked| {
                asked.accession_number = accession("A500")
            }),
            ("no accession number", |asked| {
                asked.accession_number = accession("NONE")
            }),
        ],
        vec![("no UID", |asked| {
            asked.study_instance_uid = Uid::parse("1.2.3").ok()
        })],
        vec![
            ("available", |asked| asked.status = Some(Status::Available)),
            ("archived", |asked| asked.status = Some(Status::Archived)),
        ],
        vec![
            ("linked", |asked| asked.link = Some(OrderLinkStatus::Linked)),
            ("conflict", |asked| {
                asked.link = Some(OrderLinkStatus::Conflict)
            }),
        ],
        vec![("to the beginning", |asked| asked.to = at(-1))],
    ];
    List {
        model: &study_list::MODEL,
        sort_key: newest_first,
        values: |number| {
            vec![
                text(format!("A{number}")),
                text(mostly(number, "CT", &["MR", "XR", "US"])),
                text(Status::Available),
                text(mostly(
                    number,
                    OrderLinkStatus::Linked,
                    &[OrderLinkStatus::Unlinked],
                )),
            ]
        },
        filters,
        page: |filters| study_list::page(TENANT.into(), filters, None, PAGE_SIZE),
    }
}

pub(super) fn items() -> List<item_list::Filters> {
    use worklist_item::Status;
    List {
        model: &item_list::MODEL,
        sort_key: |number| {
            let priority = mostly(number, 2_u8, &[1]);
            [
                &[priority][..],
                &[u8::MAX; 8],
                &number.to_be_bytes(),
                id(number).as_bytes(),
            ]
            .concat()
        },
        values: |number| {
            let status = mostly(
                number,
                Status::Completed,
                &[Status::Pending, Status::Claimed],
            );
            let holder = match status {
                Status::Claimed | Status::InProgress | Status::Completed => {
                    Some(id(number % RADIOLOGISTS))
                }
                Status::Pending | Status::Cancelled => None,
            };
            vec![
                text(status),
                text(mostly(number, "CT", &["MR", "XR", "US"])),
                text(mostly(number, "HEAD", &["CHEST", "ABDOMEN"])),
                Value::uuid(holder),
            ]
        },
        filters: item_filters(),
        page: |filters| item_list::page(TENANT.into(), filters, None, PAGE_SIZE),
    }
}

fn item_filters() -> Vec<Choice<item_list::Filters>> {
    use worklist_item::Status;
    vec![
        vec![
            ("completed", |asked| {
                asked.statuses = vec![Status::Completed]
            }),
            ("cancelled", |asked| {
                asked.statuses = vec![Status::Cancelled]
            }),
            ("all", |asked| asked.statuses = Status::ALL.to_vec()),
        ],
        vec![
            ("CT", |asked| asked.modality = modality("CT")),
            ("PT", |asked| asked.modality = modality("PT")),
        ],
        vec![
            ("head", |asked| {
                asked.body_part = BodyPart::parse("head").ok()
            }),
            ("knee", |asked| {
                asked.body_part = BodyPart::parse("knee").ok()
            }),
        ],
        vec![
            ("routine", |asked| {
                asked.priority = Some(order::Priority::Routine)
            }),
            ("stat", |asked| asked.priority = Some(order::Priority::Stat)),
        ],
        vec![("no study's", |asked| {
            asked.imaging_study_id = Some(StudyId::from(NOBODY))
        })],
        vec![
            ("one radiologist's", |asked| {
                asked.radiologist_id = Some(id(3).into())
            }),
            ("nobody's", |asked| {
                asked.radiologist_id = Some(NOBODY.into())
            }),
        ],
    ]
}

pub(super) fn reports() -> List<report_list::Filters> {
    use report::Status;
    let filters: Vec<Choice<report_list::Filters>> = vec![
        vec![("released only", |asked| asked.released_only = true)],
        vec![
            ("patient", |asked| asked.patient_id = Some(id(500).into())),
            ("no patient's", |asked| {
                asked.patient_id = Some(NOBODY.into())
            }),
        ],
        vec![
            ("one radiologist's", |asked| {
                asked.radiologist_id = Some(id(3).into())
            }),
            ("nobody's", |asked| {
                asked.radiologist_id = Some(NOBODY.into())
            }),
        ],
        vec![("no study's", |asked| {
            asked.imaging_study_id = Some(StudyId::from(NOBODY))
        })],
        vec![
            ("final", |asked| asked.status = Some(Status::Final)),
            ("cancelled", |asked| asked.status = Some(Status::Cancelled)),
        ],
        vec![
            ("critical", |asked| asked.critical_result = Some(true)),
            ("not critical", |asked| asked.critical_result = Some(false)),
        ],
        vec![("to the beginning", |asked| asked.to = at(-1))],
    ];
    List {
        model: &report_list::MODEL,
        sort_key: newest_first,
        values: |number| {
            let status = mostly(number, Status::Final, &[Status::Draft, Status::Preliminary]);
            let released = !matches!(status, Status::Draft);
            vec![
                Value::Uuid(id(number % RADIOLOGISTS)),
                text(status),
                Value::Bool(false),
                Value::Bool(released),
                Value::Bool(false),
            ]
        },
        filters,
        page: |filters| report_list::page(TENANT.into(), filters, None, PAGE_SIZE),
    }
}
