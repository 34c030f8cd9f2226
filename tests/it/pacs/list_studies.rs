//! The list of studies, compared with a simple model of the filters.

use std::collections::BTreeSet;

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixtures::{archive, study, sync};
use crate::assertions::{RejectedRequest, assert_all_rejected};
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    are_those_that_every_filter_lets_through,
    pages_hold_each_study_once,
    a_filter_that_is_none_is_refused,
    an_ai_worker_sees_patients_sealed,
);

const TIMES: [Option<&str>; 4] = [
    Some("2026-01-31T12:00:00.000Z"),
    Some("2026-01-30T23:59:59.999Z"),
    None,
    Some("2026-02-01T00:00:00.000Z"),
];
const MODALITIES: [&str; 3] = ["CT", "mr", "Xr"];

/// Syncs two dozen studies of every kind.
async fn told(house: &TestApp, patients: [Uuid; 2]) -> Result<Vec<Value>> {
    let mut studies = Vec::new();
    house
        .create_order(json!({ "accession_number": "ACC 3", "patient_id": patients[1] }))
        .await?;
    house
        .create_order(json!({ "accession_number": "ACC 4", "patient_id": patients[1] }))
        .await?;
    for n in 0..24 {
        let body = study(
            json!({ "patient_id": patients[n % 2], "modality_code": MODALITIES[n % 3],
            "started_at": TIMES[n / 2 % 4], "accession_number": (n % 3 != 2).then(|| format!("ACC {}", n % 12)) }),
        );
        let told = sync(house, &body).await?;
        let at = super::fixtures::place(&told);
        let archived = json!({ "status": "archived" });
        studies.push(match n % 5 {
            0 => house.client.patch(&at, &archived).await?.json(),
            _ => told.json(),
        });
    }
    Ok(studies)
}

fn time(study: &Value) -> String {
    let started = study["started_at"].as_str();
    started
        .unwrap_or(study["created_at"].as_str().unwrap())
        .to_owned()
}

async fn are_those_that_every_filter_lets_through(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let patients = [fresh(), fresh()];
    let studies = told(&house, patients).await?;
    let links: BTreeSet<&str> = studies
        .iter()
        .map(|study| study["link"].as_str().unwrap())
        .collect();
    assert_eq!(links.len(), 3, "every kind of link is there: {links:?}");
    let patient = patients[1].to_string();
    let uid = studies[3]["study_instance_uid"].as_str().unwrap();
    let single = [
        ("patient_id", patient.as_str()),
        ("modality_code", "ct"),
        ("modality_code", "XR"),
        ("modality_code", "US"),
        ("accession_number", "ACC 3"),
        ("accession_number", "ACC 99"),
        ("study_instance_uid", uid),
        ("study_instance_uid", "1.2.3"),
        ("status", "Available"),
        ("status", "archived"),
        ("link", "linked"),
        ("link", "UNLINKED"),
        ("link", "conflict"),
        ("from_date", "2026-01-31"),
        ("to_date", "2026-01-31"),
        ("from_date", "2199-01-01"),
    ];
    let mut asked = vec![Vec::new()];
    for (at, one) in single.iter().enumerate() {
        asked.push(vec![*one]);
        let others = single.iter().skip(at + 1).filter(|pair| pair.0 != one.0);
        asked.extend(others.map(|other| vec![*one, *other]));
    }
    for filters in asked {
        let query: String = filters
            .iter()
            .map(|(name, text)| format!("&{name}={text}"))
            .collect();
        let path = format!("/pacs/studies?limit=500{query}");
        let listed = house.client.get(&path).await?;
        assert_eq!(listed.status, 200, "{path}: {listed:?}");
        let rows = listed.json().as_array().cloned().unwrap_or_default();
        assert!(
            rows.is_sorted_by(|a, b| time(a) >= time(b)),
            "{path}: newest first"
        );
        let found: BTreeSet<String> = rows.iter().map(Value::to_string).collect();
        let expected = studies.iter().filter(|study| passes(study, &filters));
        let expected: BTreeSet<String> = expected.map(Value::to_string).collect();
        assert_eq!(found, expected, "{path}");
        assert_eq!(rows.len(), expected.len(), "{path}");
    }
    Ok(())
}

fn passes(study: &Value, filters: &[(&str, &str)]) -> bool {
    filters.iter().all(|(name, value)| match *name {
        "from_date" => time(study).as_str() >= *value,
        "to_date" => &time(study)[..10] <= *value,
        member => study[member]
            .as_str()
            .is_some_and(|text| text.eq_ignore_ascii_case(value)),
    })
}

async fn pages_hold_each_study_once(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let studies = told(&house, [fresh(), fresh()]).await?;
    for filter in ["", "&status=available", "&modality_code=CT"] {
        let whole = house
            .client
            .get(&format!("/pacs/studies?limit=500{filter}"))
            .await?
            .ids();
        let mut paged = Vec::new();
        let mut next = Some(format!("/pacs/studies?limit=5{filter}"));
        while let Some(path) = next {
            let page = house.client.get(&path).await?;
            assert!(page.ids().len() <= 5);
            paged.extend(page.ids());
            next = page.next_page();
        }
        assert_eq!(paged, whole, "{filter}");
        assert!(!filter.is_empty() || whole.len() == studies.len());
    }
    Ok(())
}

async fn a_filter_that_is_none_is_refused(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let queries = [
        "patient_id=x",
        "modality_code=C",
        "modality_code=",
        "accession_number=12345678901234567",
        "study_instance_uid=1.02",
        "status=gone",
        "link=maybe",
        "from_date=yesterday",
        "to_date=",
        "imaging_study_id=x",
        "limit=0",
        "cursor=x",
    ];
    let paths = queries.map(|text| format!("/pacs/studies?{text}"));
    let parts = [
        "/pacs/series?imaging_study_id=x",
        "/pacs/series?imaging_series_id=x",
        "/pacs/instances?imaging_series_id=1",
        "/pacs/endpoints?is_active=yes",
    ];
    let all = paths.iter().map(String::as_str).chain(parts);
    assert_all_rejected(
        &house.client,
        all.map(|text| RejectedRequest::get(text, ProblemCode::InvalidParameter))
            .collect(),
    )
    .await
}

async fn an_ai_worker_sees_patients_sealed(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let body = study(json!({ "patient": { "family_name": "Roe" } }));
    let told = sync(&house, &body).await?;
    let worker = house.caller("ai_worker")?;
    let radiologist = house.caller("radiologist")?;
    let at = super::fixtures::place(&told);
    let past = format!("{at}?as_of={}", told.header("log-position"));
    for path in [at.as_str(), past.as_str(), "/pacs/studies"] {
        let sealed = worker.get(path).await?;
        let open = radiologist.get(path).await?;
        assert_eq!(sealed.status, 200, "{path}: {sealed:?}");
        assert!(
            sealed.text.contains("\"phi\":\"sealed\""),
            "{path}: {sealed:?}"
        );
        assert!(
            !sealed.text.contains("Roe") && !sealed.text.contains("\"patient\""),
            "{path}"
        );
        assert!(
            open.text.contains("\"phi\":\"open\"") && open.text.contains("Roe"),
            "{path}"
        );
    }
    Ok(())
}
