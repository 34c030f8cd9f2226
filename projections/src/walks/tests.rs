use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::dicom::{AccessionNumber, Uid};
use roentgen_domain::ids::TenantId;
use roentgen_store::read_model::{ListQuery, Value};
use uuid::Uuid;

use super::*;
use crate::{
    ai_models, ai_outputs, ai_tasks, critical_results, instances, modalities, orders,
    pacs_endpoints, procedures, reading_profiles, report_templates, reports, series, studies,
};

/// Checks that each prefix of a page has an index, or contains the row id.
pub(crate) fn has_its_indexes(query: &ListQuery) -> bool {
    let by_id = |prefix: &[ColumnEquals]| prefix.iter().any(|(column, _)| *column == "id");
    let mut prefixes = query.prefixes.iter();
    prefixes.all(|prefix| by_id(prefix) || query.model.index_of(prefix).is_some())
}

#[test]
fn every_combination_is_a_prefix() {
    let fixed = [("a", Value::Bool(true))];
    let facets = [
        words("b", None, &["x", "y"]),
        truths("c", Some(false)),
        words("d", Some("z"), &["z", "q"]),
    ];
    let text = |word: &str| Value::Text(word.to_owned());
    let of = |word: &str| {
        vec![
            ("a", Value::Bool(true)),
            ("b", text(word)),
            ("c", Value::Bool(false)),
            ("d", text("z")),
        ]
    };
    assert_eq!(prefixes(&fixed, &facets), [of("x"), of("y")]);
    assert_eq!(prefixes(&[], &[]), [Vec::new()]);
}

fn tenant() -> TenantId {
    Uuid::from_u128(1).into()
}

fn id<T: From<Uuid>>(given: bool) -> Option<T> {
    given.then(|| Uuid::from_u128(5).into())
}

fn modality(given: bool) -> Option<ModalityCode> {
    given.then(|| ModalityCode::parse("CT").unwrap())
}

fn accession(given: bool) -> Option<AccessionNumber> {
    given.then(|| AccessionNumber::parse("A1").unwrap())
}

/// Calls `page` with every combination of the given number of filters, and checks its indexes.
fn combinations(filters: usize, page: impl Fn(&dyn Fn(usize) -> bool) -> ListQuery) {
    for mask in 0..1_usize << filters {
        let query = page(&|place| mask & (1 << place) != 0);
        let model = query.model.name;
        assert!(has_its_indexes(&query), "{model} {mask:b}: {query:?}");
    }
}

#[test]
fn every_page_of_orders_studies_and_reports_is_walked_by_an_index_of_its_own() {
    combinations(5, |has| {
        let filters = orders::Filters {
            patient_id: id(has(0)),
            encounter_id: id(has(1)),
            accession_number: accession(has(2)),
            status: has(3).then_some(roentgen_domain::order::Status::Requested),
            priority: has(4).then_some(roentgen_domain::order::Priority::Stat),
            ..orders::Filters::default()
        };
        orders::page(tenant(), &filters, None, 50)
    });
    combinations(6, |has| {
        let filters = studies::Filters {
            patient_id: id(has(0)),
            modality_code: modality(has(1)),
            accession_number: accession(has(2)),
            study_instance_uid: has(3).then(|| Uid::parse("1.2").unwrap()),
            status: has(4).then_some(roentgen_domain::study::Status::Available),
            link: has(5).then_some(roentgen_domain::study::OrderLinkStatus::Unlinked),
            ..studies::Filters::default()
        };
        studies::page(tenant(), &filters, None, 50)
    });
    combinations(6, |has| {
        let filters = reports::Filters {
            released_only: has(0),
            patient_id: id(has(1)),
            radiologist_id: id(has(2)),
            imaging_study_id: id(has(3)),
            status: has(4).then_some(roentgen_domain::report::Status::Draft),
            critical_result: has(5).then_some(true),
            ..reports::Filters::default()
        };
        reports::page(tenant(), &filters, None, 50)
    });
    combinations(1, |has| {
        use critical_results::CriticalResultStatus::{Communicated, Open, Overdue};
        let asked = if has(0) {
            &[Open, Overdue, Communicated][..]
        } else {
            &[Open]
        };
        critical_results::page(tenant(), asked, None, 50)
    });
}

#[test]
fn every_page_of_parts_and_of_ai_work_is_walked_by_an_index_of_its_own() {
    combinations(1, |has| series::page(tenant(), id(has(0)), None, 50));
    combinations(1, |has| instances::page(tenant(), id(has(0)), None, 50));
    combinations(4, |has| {
        let filters = ai_tasks::Filters {
            imaging_study_id: id(has(0)),
            ai_model_id: id(has(1)),
            task_type: has(2).then_some(roentgen_domain::ai_model::TaskType::Triage),
            status: has(3).then_some(roentgen_domain::ai_task::Status::Queued),
        };
        ai_tasks::page(tenant(), &filters, None, 50)
    });
    combinations(3, |has| {
        let filters = ai_outputs::Filters {
            imaging_ai_task_id: id(has(0)),
            imaging_study_id: id(has(1)),
            output_type: has(2).then_some(roentgen_domain::ai_task::OutputType::Triage),
        };
        ai_outputs::page(tenant(), &filters, None, 50)
    });
    let patient = Uuid::from_u128(9).into();
    assert!(has_its_indexes(&ai_tasks::of_patient(
        tenant(),
        patient,
        None,
        50
    )));
}

#[test]
fn every_page_of_the_catalog_is_walked_by_an_index_of_its_own() {
    let head = |given: bool| given.then(|| BodyPart::parse("head").unwrap());
    let active = |given: bool| given.then_some(true);
    combinations(4, |has| {
        let filters = procedures::Filters {
            modality_id: id(has(0)),
            body_part: head(has(1)),
            search: has(2).then(|| "head".to_owned()),
            is_active: active(has(3)),
        };
        procedures::page(tenant(), &filters, None, 50)
    });
    combinations(3, |has| {
        let filters = report_templates::Filters {
            modality_code: modality(has(0)),
            body_part: head(has(1)),
            is_active: active(has(2)),
        };
        report_templates::page(tenant(), &filters, None, 50)
    });
    combinations(3, |has| {
        let filters = ai_models::Filters {
            modality_code: modality(has(0)),
            body_part: head(has(1)),
            is_active: active(has(2)),
        };
        ai_models::page(tenant(), &filters, None, 50)
    });
    combinations(2, |has| {
        let filters = reading_profiles::Filters {
            practitioner_id: id(has(0)),
            is_active: active(has(1)),
        };
        reading_profiles::page(tenant(), &filters, None, 50)
    });
    combinations(1, |has| {
        let filters = modalities::Filters {
            is_active: active(has(0)),
        };
        modalities::page(tenant(), &filters, None, 50)
    });
    combinations(1, |has| {
        pacs_endpoints::page(tenant(), active(has(0)), None, 50)
    });
}
