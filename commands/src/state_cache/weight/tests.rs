use roentgen_domain::aggregate::EventHeader;
use roentgen_domain::dicom::Uid;
use roentgen_domain::growth::Size;
use roentgen_domain::ids::{SeriesId, StudyId};
use roentgen_domain::order::Order;
use roentgen_domain::reading_profile::ReadingProfile;
use roentgen_domain::report::Report;
use roentgen_domain::report_template::ReportTemplate;
use roentgen_domain::study::Study;
use roentgen_domain::{DomainEvent, Timestamp};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::*;
use crate::ALLOCATED;

/// Event of the aggregate: type, payload, PHI.
type Told<'a> = (&'a str, Value, Option<Value>);

/// Folds a resource from events, and measures the memory that it allocated.
fn folded<A: Aggregate>(events: Vec<Told<'_>>) -> (Versioned<A>, usize) {
    let stored: Vec<_> = events
        .into_iter()
        .map(|(name, payload, phi)| (name, payload.to_string(), phi.map(|phi| phi.to_string())))
        .collect();
    let before = ALLOCATED.current_usage();
    let mut resource = None;
    for (version, (name, payload, phi)) in (1..).zip(&stored) {
        let phi = phi.as_ref().map(String::as_bytes);
        let event = A::Event::decode(name, 1, payload.as_bytes(), phi).unwrap();
        let standing = EventHeader {
            stream_id: Uuid::from_u128(9).into(),
            tenant_id: Uuid::from_u128(1).into(),
            version,
            recorded_at: Timestamp::EPOCH,
            size: Size::default(),
        };
        resource = Some(Versioned::<A>::evolve(resource, event, standing).unwrap());
    }
    let allocated = ALLOCATED.current_usage() - before;
    (resource.unwrap(), allocated + size_of::<Versioned<A>>())
}

#[track_caller]
fn is_weighed<A: Aggregate>(events: Vec<Told<'_>>) {
    let (resource, taken) = folded::<A>(events);
    let weight = estimated_bytes(&resource);
    println!("{} takes {taken} bytes, weighed {weight}", A::STREAM_TYPE);
    assert!(
        weight <= 3 * taken && taken <= 2 * weight,
        "{} takes {taken} bytes and is weighed {weight}",
        A::STREAM_TYPE
    );
}

fn order(metadata: Value) -> Vec<Told<'static>> {
    let id = Uuid::from_u128(9);
    let payload = json!({
        "order_id": id, "patient_id": id, "imaging_procedure_id": id,
        "procedure_code": "CT_HEAD", "procedure_name": "CT head without contrast",
        "modality_code": "CT", "priority": "stat", "requested_at": "2026-01-31T08:15:00.000Z",
        "accession_number": "ACC123456", "fhir_service_request_id": id, "status": "requested",
    });
    let phi = json!({ "indication": "rule out stroke", "metadata": metadata });
    vec![("ImagingOrder.Created", payload, Some(phi))]
}

#[test]
fn order_is_weighed() {
    is_weighed::<Order>(order(json!({ "bed": 12 })));
}

#[test]
fn metadata_is_weighed() {
    is_weighed::<Order>(order(json!({ "a": vec![json!({ "": 0 }); 8_000] })));
    is_weighed::<Order>(order(json!({ "a": "x".repeat(60_000) })));
}

#[test]
fn report_is_weighed_with_the_words_of_all_its_versions() {
    let id = Uuid::from_u128(9);
    let begun = json!({
        "report_id": id, "imaging_study_id": id, "patient_id": id, "radiologist_id": id,
        "status": "draft", "critical_result": false, "drafted_at": "2026-01-31T08:15:00.000Z",
    });
    let written = |n: usize| {
        let payload = json!({
            "report_id": id, "imaging_study_id": id, "patient_id": id,
            "edited_by_radiologist_id": id, "edited_at": "2026-01-31T08:15:00.000Z",
            "unsigned_changes": true,
        });
        let words = json!({ "findings": format!("{n} {}", "x".repeat(10_000)) });
        ("RadiologyReport.Updated", payload, Some(words))
    };
    let begun = (
        "RadiologyReport.Created",
        begun,
        Some(json!({ "impression": "acute stroke" })),
    );
    is_weighed::<Report>([begun].into_iter().chain((0..100).map(written)).collect());
}

#[test]
fn lists_of_short_names_are_weighed() {
    let names: Vec<String> = (0..1_000).map(|n| format!("{n:03X}")).collect();
    let profile = json!({
        "reading_profile_id": Uuid::from_u128(9), "practitioner_id": Uuid::from_u128(9), "allowed_modalities": names,
        "allowed_body_parts": names, "max_concurrent_cases": 5, "reading_locations": names,
        "is_active": true,
    });
    is_weighed::<ReadingProfile>(vec![("RadiologyReadingProfile.Created", profile, None)]);
}

#[test]
fn template_is_weighed() {
    let properties: Map<String, Value> = (0..1_000)
        .map(|n| {
            (
                format!("finding_{n}"),
                json!({ "type": "string", "maxLength": 100 }),
            )
        })
        .collect();
    let template = json!({
        "template_id": Uuid::from_u128(9), "code": "CT_HEAD", "name": "CT head",
        "template_type": "structured", "schema": { "properties": properties }, "is_active": true,
    });
    is_weighed::<ReportTemplate>(vec![("RadiologyReportTemplate.Created", template, None)]);
}

/// Builds the events of a study with the given number of series and of instances per series.
fn study(series: usize, instances: usize) -> Vec<Told<'static>> {
    let patient = Uuid::from_u128(7);
    let study = StudyId::derive(Uuid::from_u128(1).into(), &Uid::parse("1.2.840.1").unwrap());
    let begun = json!({
        "study_id": study, "patient_id": patient, "pacs_endpoint_id": patient,
        "pacs_endpoint_code": "MAIN", "study_instance_uid": "1.2.840.1", "modality_code": "CT",
        "status": "available",
    });
    let mut events = vec![("ImagingStudy.Available", begun, None)];
    for n in 0..series {
        let uid = format!("1.2.840.113619.2.55.3.604688119.971.1172.{n}");
        let id = SeriesId::derive(study, &Uid::parse(&uid).unwrap());
        let added = json!({
            "study_id": study, "patient_id": patient, "number_of_series": n + 1,
            "number_of_instances": n * instances,
            "series": [{ "series_id": id, "series_instance_uid": uid, "modality_code": "CT",
                "description": "AXIAL 5 mm" }],
        });
        events.push(("ImagingStudy.SeriesAdded", added, None));
        let listed: Vec<Value> = (0..instances)
            .map(|at| {
                let id = Uuid::from_u128((n * instances + at) as u128);
                json!({ "instance_id": id, "sop_instance_uid": format!("{uid}.{at}"),
                    "instance_number": at })
            })
            .collect();
        let added = json!({
            "study_id": study, "patient_id": patient,
            "number_of_instances": (n + 1) * instances,
            "series": [{ "series_id": id, "number_of_instances": instances, "instances": listed }],
        });
        events.push(("ImagingStudy.InstancesAdded", added, None));
    }
    events
}

#[test]
fn study_of_5000_instances_is_weighed() {
    is_weighed::<Study>(study(10, 500));
    is_weighed::<Study>(study(1, 5_000));
}

#[test]
fn study_of_many_series_is_weighed() {
    is_weighed::<Study>(study(1_000, 5));
}
