//! Event samples: one example of every released event schema; all samples must decode in every later release.
//!
//! A new schema version adds `events/<type>/v<N>.json` and leaves the old ones unchanged.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::fs;
use std::path::{Path, PathBuf};

use roentgen_domain::aggregate::{Aggregate, DomainEvent};
use roentgen_domain::ai_model::AiModel;
use roentgen_domain::ai_task::AiTask;
use roentgen_domain::caseload::Caseload;
use roentgen_domain::modality::Modality;
use roentgen_domain::order::Order;
use roentgen_domain::pacs_endpoint::PacsEndpoint;
use roentgen_domain::procedure::Procedure;
use roentgen_domain::reading_profile::ReadingProfile;
use roentgen_domain::report::Report;
use roentgen_domain::report_template::ReportTemplate;
use roentgen_domain::study::Study;
use roentgen_domain::study_access::StudyAccess;
use roentgen_domain::worklist_item::WorklistItem;
use serde_json::Value;

fn samples_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/events")
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Decodes the sample; if its schema version is current, encoding the event must yield the same members.
fn assert_sample_round_trips<E: DomainEvent>(
    name: &str,
    version: u32,
    current: u32,
    sample: &Value,
) {
    let data = sample["data"].to_string();
    let phi = sample.get("phi").map(Value::to_string);
    let event = E::decode(
        name,
        version,
        data.as_bytes(),
        phi.as_ref().map(String::as_bytes),
    )
    .unwrap_or_else(|error| panic!("{name} v{version}: {error}"));
    assert_eq!(event.event_type(), name);
    if version == current {
        let written: Value = serde_json::from_str(&event.payload().unwrap()).unwrap();
        assert_eq!(written, sample["data"], "{name} v{version}");
        let sealed = event
            .phi()
            .unwrap()
            .map(|phi| serde_json::from_slice::<Value>(phi.expose()).unwrap());
        assert_eq!(sealed.as_ref(), sample.get("phi"), "{name} v{version}");
    }
}

/// Decodes every sample of an aggregate's events; returns the event types.
fn check_aggregate<A: Aggregate>() -> Vec<String> {
    let visited = A::Event::EVENT_TYPES.iter().map(|(name, current)| {
        let room = samples_dir().join(name);
        let mut versions: Vec<u32> = names(&room)
            .iter()
            .map(|name| {
                name.strip_prefix('v')
                    .unwrap()
                    .strip_suffix(".json")
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect();
        versions.sort_unstable();
        assert_eq!(versions, (1..=*current).collect::<Vec<_>>(), "{name}");
        for version in versions {
            let text = fs::read_to_string(room.join(format!("v{version}.json"))).unwrap();
            let sample: Value = serde_json::from_str(&text).unwrap();
            assert_sample_round_trips::<A::Event>(name, version, *current, &sample);
        }
        (*name).to_owned()
    });
    visited.collect()
}

#[test]
fn every_released_event_schema_still_decodes() {
    let mut visited = [
        check_aggregate::<Modality>(),
        check_aggregate::<Procedure>(),
        check_aggregate::<Order>(),
        check_aggregate::<ReadingProfile>(),
        check_aggregate::<WorklistItem>(),
        check_aggregate::<Caseload>(),
        check_aggregate::<AiModel>(),
        check_aggregate::<AiTask>(),
        check_aggregate::<ReportTemplate>(),
        check_aggregate::<Report>(),
        check_aggregate::<PacsEndpoint>(),
        check_aggregate::<Study>(),
        check_aggregate::<StudyAccess>(),
    ]
    .concat();
    let mut sampled = names(&samples_dir());
    visited.sort_unstable();
    sampled.sort_unstable();
    assert_eq!(visited, sampled);
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let later = <Order as Aggregate>::Event::decode("ImagingOrder.Created", 99, b"{}", None);
    assert!(
        later
            .unwrap_err()
            .to_string()
            .contains("ImagingOrder.Created, schema version 99")
    );
    type OfModality = <Modality as Aggregate>::Event;
    for (name, version) in [
        ("ImagingModality.Created", 2),
        ("ImagingModality.Updated", 3),
        ("ImagingModality.Updated", 0),
        ("ImagingOrder.Created", 1),
    ] {
        let unknown = OfModality::decode(name, version, b"{}", None).unwrap_err();
        let expected = format!("{name}, schema version {version}");
        assert!(unknown.to_string().contains(&expected), "{unknown}");
    }
}

/// The content of a malformed payload could be PHI, so the error does not contain it.
#[test]
fn a_damaged_payload_is_refused_without_its_words() {
    let damaged = br#"{"order_id": "Jane Roe"}"#;
    let error = <Order as Aggregate>::Event::decode("ImagingOrder.Scheduled", 1, damaged, None);
    let said = error.unwrap_err().to_string();
    assert!(
        said.contains("ImagingOrder.Scheduled") && !said.contains("Jane"),
        "{said}"
    );
    for damaged in [
        r#"{"name": "Jane Roe"}"#,
        r#"{"modality_id": "Jane Roe", "name": "CT"}"#,
    ] {
        let error = <Modality as Aggregate>::Event::decode(
            "ImagingModality.Updated",
            2,
            damaged.as_bytes(),
            None,
        );
        let said = error.unwrap_err().to_string();
        assert!(
            said.contains("ImagingModality.Updated") && !said.contains("Jane"),
            "{said}"
        );
    }
}
