mod additions;
mod linking;
mod sync;
mod update;

use super::*;
use crate::codes::{ModalityCode, PacsEndpointCode};
use crate::dicom::Uid;
use crate::given_when_then::{Given, context, given, minutes_from_now};
use crate::ids::{PacsEndpointId, StudyId};
use crate::phi::{PhiText, Sex};
use crate::text::Text;
use serde_json::Value;
use uuid::Uuid;

const STUDY: &str = "1.2.840.1";

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn study_id() -> StudyId {
    StudyId::derive(context().tenant_id, &uid(STUDY))
}

fn series_id(series: &str) -> SeriesId {
    SeriesId::derive(study_id(), &uid(series))
}

fn patient_id() -> PatientId {
    Uuid::from_u128(7).into()
}

fn order(n: u128) -> OrderId {
    Uuid::from_u128(n).into()
}

fn details() -> Details {
    let code = PacsEndpointCode::parse("MAIN").unwrap();
    Details {
        pacs_endpoint_id: PacsEndpointId::derive(context().tenant_id, &code),
        pacs_endpoint_code: code,
        study_instance_uid: uid(STUDY),
        accession_number: None,
        modality_code: ModalityCode::parse("CT").unwrap(),
        body_part: None,
        description: None,
        started_at: None,
        ended_at: None,
    }
}

fn synced_study() -> Sync {
    Sync {
        patient_id: patient_id(),
        details: details(),
        patient: None,
        order: None,
        series: Vec::new(),
    }
}

fn facts(series: &str, stated: Option<u32>) -> SeriesAttributes {
    SeriesAttributes {
        series_instance_uid: uid(series),
        series_number: None,
        body_part: None,
        modality_code: None,
        number_of_instances: stated,
        description: None,
    }
}

fn instance(sop: &str) -> InstanceAttributes {
    InstanceAttributes {
        sop_instance_uid: uid(sop),
        sop_class_uid: None,
        instance_number: None,
    }
}

fn synced_series(series: &str, stated: Option<u32>, instances: &[&str]) -> SyncedSeries {
    SyncedSeries {
        facts: facts(series, stated),
        instances: instances.iter().map(|text| instance(text)).collect(),
    }
}

fn telling(series: Vec<SyncedSeries>) -> Command {
    Command::Sync(Box::new(Sync {
        series,
        ..synced_study()
    }))
}

fn sync(change: impl FnOnce(&mut Sync)) -> Command {
    let mut sync = synced_study();
    change(&mut sync);
    Command::Sync(Box::new(sync))
}

fn update(change: impl FnOnce(&mut Update)) -> Command {
    let mut update = Update::default();
    change(&mut update);
    Command::Update(Box::new(update))
}

fn available() -> Event {
    Event::Available(Box::new(Available {
        study_id: study_id(),
        patient_id: patient_id(),
        details: details(),
        status: Status::Available,
        phi: Some(AvailablePhi::default()),
    }))
}

fn series_added(series: &str, stated: Option<u32>, totals: (u32, u32)) -> Event {
    Event::SeriesAdded(SeriesAdded {
        study_id: study_id(),
        patient_id: patient_id(),
        series: vec![AddedSeries {
            series_id: series_id(series),
            facts: facts(series, stated),
        }],
        number_of_series: totals.0,
        number_of_instances: totals.1,
    })
}

fn instances_added(series: &str, number: u32, instances: &[&str], total: u32) -> Event {
    let id = series_id(series);
    let added = instances.iter().map(|instance| AddedInstance {
        instance_id: crate::ids::InstanceId::derive(id, &uid(instance)),
        sop_instance_uid: uid(instance),
        sop_class_uid: None,
        instance_number: None,
    });
    Event::InstancesAdded(InstancesAdded {
        study_id: study_id(),
        patient_id: patient_id(),
        series: vec![SeriesInstances {
            series_id: id,
            number_of_instances: number,
            instances: added.collect(),
        }],
        number_of_instances: total,
    })
}

fn linked(link: LinkKind, n: u128) -> Event {
    Event::Linked(Linked {
        study_id: study_id(),
        patient_id: patient_id(),
        link,
        imaging_order_id: order(n),
    })
}

fn updated(change: impl FnOnce(&mut Updated)) -> Event {
    let mut updated = Updated {
        study_id: study_id(),
        patient_id: patient_id(),
        modality_code: None,
        accession_number: None,
        body_part: None,
        description: None,
        started_at: None,
        ended_at: Change::Keep,
        number_of_series: None,
        number_of_instances: None,
        viewer_url: Change::Keep,
        series: Vec::new(),
        phi: None,
    };
    change(&mut updated);
    Event::Updated(Box::new(updated))
}

fn archived() -> Event {
    Event::Archived(Archived {
        study_id: study_id(),
        patient_id: patient_id(),
    })
}

/// A study with these past events.
fn past(events: impl IntoIterator<Item = Event>) -> Given<Study> {
    given(events)
}

/// One series "1.1" with instance "1.1.1".
fn with_an_image() -> Given<Study> {
    past([
        available(),
        series_added("1.1", None, (1, 0)),
        instances_added("1.1", 1, &["1.1.1"], 1),
    ])
}

/// A read model folds events into its document, which has no series and instances.
#[test]
fn the_document_after_every_event_is_that_of_the_whole_fold() {
    let history = [
        available(),
        linked(LinkKind::Linked, 1),
        series_added("1.1", Some(3), (1, 3)),
        instances_added("1.1", 3, &["1.1.1"], 3),
        updated(|updated| updated.number_of_instances = Some(12)),
        archived(),
    ];
    let mut document: Option<Value> = None;
    for (n, event) in history.iter().enumerate() {
        let before = document.map(|document| serde_json::from_value(document).unwrap());
        let after = Study::evolve(before, event.clone()).unwrap();
        let whole = past(history[..=n].to_vec()).state();
        let shown = serde_json::to_value(&after).unwrap();
        assert_eq!(shown, serde_json::to_value(&whole).unwrap());
        document = Some(shown);
    }
}
