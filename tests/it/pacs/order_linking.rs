//! Linking a study to its order, in either order of arrival, and with different patients.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::fixtures::{archive, place, study, sync, trail};
use crate::assertions::{RejectedRequest, assert_all_rejected};
use crate::test_app::{TestApp, fresh, on_both_engines, with};

on_both_engines!(
    an_order_that_was_first_is_found_by_its_accession_number,
    an_order_is_found_by_its_id_before_its_number,
    an_accession_number_that_comes_late_links,
    an_order_of_another_patient_never_links,
    a_person_settles_a_conflict,
    a_link_that_stands_is_not_moved_by_a_sync,
    order_and_study_at_once_are_never_both_blind,
);

/// Creates an order and returns its id.
async fn ordered(house: &TestApp, patient: Uuid, accession: &str) -> Result<String> {
    let members = json!({ "patient_id": patient, "accession_number": accession });
    Ok(house.create_order(members).await?.text_at("/id"))
}

async fn an_order_that_was_first_is_found_by_its_accession_number(
    engine: EngineKind,
) -> Result<()> {
    let house = archive(engine).await?;
    let patient = fresh();
    let order = ordered(&house, patient, "ACC-1").await?;
    let body = study(json!({ "patient_id": patient, "accession_number": " ACC-1 " }));
    let told = sync(&house, &body).await?;
    assert_eq!(told.text_at("/link"), "linked");
    assert_eq!(told.text_at("/imaging_order_id"), order);
    let trail = trail(&house, &told.text_at("/id")).await?;
    assert_eq!(trail, ["ImagingStudy.Available", "ImagingStudy.Linked"]);
    let position = told.number("log-position");
    let events = house
        .client
        .get(&format!("/events?after={}", position - 2))
        .await?
        .lines();
    let times: Vec<&str> = events
        .iter()
        .take(2)
        .map(|event| event["recorded_at"].as_str().unwrap())
        .collect();
    assert_eq!(times[0], times[1], "one append");
    Ok(())
}

async fn an_order_is_found_by_its_id_before_its_number(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let patient = fresh();
    let named = ordered(&house, patient, "ACC-1").await?;
    ordered(&house, fresh(), "ACC-2").await?;
    let body = study(json!({ "patient_id": patient, "accession_number": "ACC-2",
        "imaging_order_id": named }));
    let told = sync(&house, &body).await?;
    assert_eq!(told.text_at("/link"), "linked");
    assert_eq!(told.text_at("/imaging_order_id"), named);
    Ok(())
}

async fn an_accession_number_that_comes_late_links(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let patient = fresh();
    let order = ordered(&house, patient, "ACC-1").await?;
    let body = study(json!({ "patient_id": patient }));
    assert_eq!(sync(&house, &body).await?.text_at("/link"), "unlinked");
    let numbered = with(body.clone(), json!({ "accession_number": "ACC-1" }));
    let told = sync(&house, &numbered).await?;
    assert_eq!(told.text_at("/imaging_order_id"), order);
    assert_eq!(
        sync(&house, &body).await?.json(),
        told.json(),
        "left out, it stays"
    );
    Ok(())
}

async fn an_order_of_another_patient_never_links(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let order = ordered(&house, fresh(), "ACC-1").await?;
    for members in [
        json!({ "accession_number": "ACC-1" }),
        json!({ "imaging_order_id": order }),
    ] {
        let body = study(members);
        let told = sync(&house, &body).await?;
        assert_eq!(told.status, 201, "{told:?}");
        assert_eq!(told.text_at("/link"), "conflict");
        assert_eq!(told.text_at("/conflicting_order_id"), order);
        assert!(told.json().get("imaging_order_id").is_none());
        assert_eq!(sync(&house, &body).await?.json(), told.json());
    }
    let listed = house.client.get("/pacs/studies?link=CONFLICT").await?;
    assert_eq!(listed.ids().len(), 2);
    Ok(())
}

async fn a_person_settles_a_conflict(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let patient = fresh();
    let wrong = ordered(&house, fresh(), "ACC-1").await?;
    let right = ordered(&house, patient, "ACC-2").await?;
    let told = study(json!({ "patient_id": patient, "accession_number": "ACC-1" }));
    let at = place(&sync(&house, &told).await?);
    let name = |order: &str| json!({ "imaging_order_id": order }).to_string();
    let refused = vec![
        RejectedRequest::patch(&at, name(&wrong), ProblemCode::Unacceptable)
            .at(&["/imaging_order_id"]),
        RejectedRequest::patch(
            &at,
            name(&fresh().to_string()),
            ProblemCode::ReferenceNotFound,
        )
        .at(&["/imaging_order_id"]),
    ];
    assert_all_rejected(&house.client, refused).await?;
    let settle = json!({ "imaging_order_id": right });
    let settled = house.client.patch(&at, &settle).await?;
    assert_eq!(settled.text_at("/link"), "linked", "{settled:?}");
    assert_eq!(settled.text_at("/imaging_order_id"), right);
    let again = house.client.patch(&at, &settle).await?;
    assert_eq!(again.json(), settled.json());
    Ok(())
}

async fn a_link_that_stands_is_not_moved_by_a_sync(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let patient = fresh();
    let first = ordered(&house, patient, "ACC-1").await?;
    let second = ordered(&house, patient, "ACC-2").await?;
    let body = study(json!({ "patient_id": patient, "accession_number": "ACC-1" }));
    sync(&house, &body).await?;
    let moved = with(body, json!({ "imaging_order_id": second }));
    assert_eq!(
        sync(&house, &moved).await?.text_at("/imaging_order_id"),
        first
    );
    Ok(())
}

/// Each append checks that what it did not find still does not exist. Of an order and a study created concurrently, the
/// second therefore sees the first: a study that comes second is linked in its own append; a study that came first is
/// linked because of the order's event.
async fn order_and_study_at_once_are_never_both_blind(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    for n in 0..10 {
        let patient = fresh();
        let accession = format!("RACE-{n}");
        let order =
            house.order_with(json!({ "patient_id": patient, "accession_number": accession }));
        let told = study(json!({ "patient_id": patient, "accession_number": accession }));
        let mut both = JoinSet::new();
        for (path, body) in [("/imaging/orders", order), ("/pacs/studies/sync", told)] {
            let client = house.client.repeating();
            both.spawn(async move { client.post(path, &body).await });
        }
        let mut answers = Vec::new();
        for answer in both.join_all().await {
            answers.push(answer?);
        }
        assert!(
            answers.iter().all(|response| response.status == 201),
            "{answers:?}"
        );
        let (of_study, of_order): (Vec<_>, Vec<_>) = answers
            .iter()
            .partition(|response| response.json().get("link").is_some());
        let first = of_order[0].number("log-position") < of_study[0].number("log-position");
        let linked = of_study[0].text_at("/link") == "linked";
        assert_eq!(linked, first, "{answers:?}");
    }
    Ok(())
}
