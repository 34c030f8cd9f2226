//! Critical results: raised with a signature, communicated, and listed until then.

use std::time::Duration;

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use roentgen_tests::poll::wait_until;
use serde_json::{Value, json};

use super::{
    a_critical, a_draft, a_signed, all_refused, event, images, start_with_archive, told, trail,
};
use crate::assertions::RejectedRequest;
use crate::radiology::fixtures::{RadiologistClient, WorklistApp};
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    the_first_signature_raises_it_in_the_same_append,
    is_listed_oldest_first_until_somebody_is_told,
    a_communication_is_taken_from_the_draft_on,
    a_communication_may_come_with_the_signature,
    an_addendum_raises_it,
    an_addendum_after_somebody_was_told_raises_another_one,
    another_one_is_overdue_by_its_own_deadline,
    is_overdue_where_nobody_was_told_in_time,
    a_cancelled_report_has_none,
);

const CRITICAL: &str = "/radiology/critical-results";
/// Time limit of a timer and the read models.
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);

async fn listed(room: &WorklistApp, query: &str) -> Result<Vec<Value>> {
    let listed = room.house.client.get(&format!("{CRITICAL}{query}")).await?;
    assert_eq!(listed.status, 200, "{listed:?}");
    Ok(listed.json().as_array().cloned().unwrap_or_default())
}

async fn the_first_signature_raises_it_in_the_same_append(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let radiologist = room.radiologist()?;
    let who = fresh();
    let order = json!({ "accession_number": "ACC1", "ordering_practitioner_id": who });
    let order = room.house.create_order(order).await?;
    let members = json!({
        "patient_id": order.text_at("/patient_id"), "accession_number": "ACC1",
    });
    for is_final in [false, true] {
        let ours = images(&room, members.clone()).await?;
        let place = a_critical(&radiologist, &ours, is_final).await?;
        let names = ["Created", "Updated", "Signed", "CriticalResult"];
        assert_eq!(trail(&room, &place).await?, names);
        let signed = event(&room, &place, "Signed").await?;
        let raised = event(&room, &place, "CriticalResult").await?;
        assert_eq!(signed["recorded_at"], raised["recorded_at"]);
        let between = raised["position"].as_u64().unwrap() - signed["position"].as_u64().unwrap();
        assert_eq!(between, 1);
        let data = &raised["data"];
        assert_eq!(data["imaging_study_id"], json!(ours.study));
        assert_eq!(data["patient_id"], order.json()["patient_id"]);
        assert_eq!(data["imaging_order_id"], order.json()["id"]);
        assert_eq!(data["ordering_practitioner_id"], json!(who));
        assert_eq!(data["impression"], "acute stroke");
        let report = radiologist.client.get(&place).await?.json();
        assert_eq!(report["critical_communication"], "outstanding");
        assert_eq!(report["critical_deadline"], data["deadline"]);
    }
    Ok(())
}

async fn is_listed_oldest_first_until_somebody_is_told(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let radiologist = room.radiologist()?;
    let mut places = Vec::new();
    for _ in 0..3 {
        let ours = images(&room, json!({})).await?;
        places.push(a_critical(&radiologist, &ours, true).await?);
    }
    let harmless = images(&room, json!({})).await?;
    a_signed(&radiologist, &harmless, true).await?;
    let unsigned = images(&room, json!({})).await?;
    let draft = a_draft(&radiologist, &unsigned, json!({})).await?;
    let marked = json!({ "critical_result": true });
    assert_eq!(radiologist.client.patch(&draft, &marked).await?.status, 200);

    let place = |value: &Value| format!("/radiology/reports/{}", value["id"].as_str().unwrap());
    let open = listed(&room, "").await?;
    assert_eq!(open.iter().map(place).collect::<Vec<_>>(), places);
    assert_eq!(open[0]["overdue"], false);
    assert_eq!(open[0]["impression"], "acute stroke");
    assert!(open[0]["age_seconds"].as_i64().unwrap() >= 0);
    let noted = radiologist
        .client
        .post(&format!("{}/communications", places[0]), &told())
        .await;
    let noted = noted?;
    assert_eq!(
        (noted.status, noted.header("location")),
        (201, places[0].clone())
    );
    let told = told();
    for member in ["recipient", "method", "read_back", "note"] {
        assert_eq!(noted.json()[member], told[member], "{member}");
    }
    let open = listed(&room, "?status=open&limit=500").await?;
    assert_eq!(open.iter().map(place).collect::<Vec<_>>(), places[1..]);
    let done = listed(&room, "?status=communicated").await?;
    assert_eq!(done.iter().map(place).collect::<Vec<_>>(), places[..1]);
    assert_eq!(done[0]["communications"][0], noted.json());
    assert_eq!(listed(&room, "?status=all").await?.len(), 3);
    assert_eq!(listed(&room, "?status=overdue").await?.len(), 0);
    let refused = RejectedRequest::get(
        "/radiology/critical-results?status=x",
        ProblemCode::InvalidParameter,
    );
    all_refused(&room, &room.house.client, vec![refused]).await
}

async fn a_communication_is_taken_from_the_draft_on(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_draft(&radiologist, &ours, json!({})).await?;
    let telling = format!("{place}/communications");
    let wrong = json!({ "recipient": " ", "method": "pigeon", "communicated_at": "today" });
    let pointers = &["/recipient", "/method", "/communicated_at", "/read_back"];
    let future =
        crate::test_app::with(told(), json!({ "communicated_at": "2126-01-01T00:00:00Z" }));
    let refused = vec![
        RejectedRequest::post(&telling, wrong.to_string(), ProblemCode::Unacceptable).at(pointers),
        RejectedRequest::post(&telling, future.to_string(), ProblemCode::Unacceptable)
            .at(&["/communicated_at"]),
    ];
    all_refused(&room, &radiologist.client, refused).await?;
    let marked = json!({ "critical_result": true });
    radiologist.client.patch(&place, &marked).await?;
    let first = radiologist.client.post(&telling, &told()).await?;
    let again = radiologist.client.post(&telling, &told()).await?;
    assert_eq!((first.status, &first.text), (201, &again.text));
    let draft = radiologist.client.get(&place).await?.json();
    assert_eq!(draft["critical_communication"], "communicated");
    let signed = super::sign(&radiologist, &place, true).await?.json();
    assert_eq!(signed["critical_communication"], "communicated");
    assert_eq!(listed(&room, "").await?.len(), 0);
    assert_eq!(listed(&room, "?status=communicated").await?.len(), 1);
    Ok(())
}

async fn a_communication_may_come_with_the_signature(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_draft(&radiologist, &ours, json!({})).await?;
    radiologist
        .client
        .patch(&place, &json!({ "critical_result": true }))
        .await?;
    let signing = format!("{place}/sign");
    let blank = json!({ "communication": { "recipient": "" } }).to_string();
    let pointers = &[
        "/communication/recipient",
        "/communication/method",
        "/communication/communicated_at",
        "/communication/read_back",
    ];
    let late = crate::test_app::with(told(), json!({ "communicated_at": "2126-01-01T00:00:00Z" }));
    let late = json!({ "final": true, "communication": late }).to_string();
    let refused = vec![
        RejectedRequest::post(&signing, blank, ProblemCode::Unacceptable).at(pointers),
        RejectedRequest::post(&signing, late, ProblemCode::Unacceptable)
            .at(&["/communication/communicated_at"]),
    ];
    all_refused(&room, &radiologist.client, refused).await?;
    let told = json!({ "final": true, "communication": told() });
    let signed = radiologist.client.post(&signing, &told).await?.json();
    assert_eq!(signed["critical_communication"], "communicated");
    assert_eq!(
        trail(&room, &place).await?[2..],
        ["Signed", "CriticalResult", "CriticalResultCommunicated"]
    );
    Ok(())
}

async fn an_addendum_raises_it(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_signed(&radiologist, &ours, true).await?;
    let addendum = json!({ "content": "a bleed after all", "critical_result": true });
    let added = radiologist
        .client
        .post(&format!("{place}/addenda"), &addendum)
        .await;
    assert_eq!(added?.status, 201);
    assert_eq!(
        trail(&room, &place).await?[2..],
        ["AddendumAdded", "CriticalResult"]
    );
    assert_eq!(listed(&room, "").await?.len(), 1);
    let report = radiologist.client.get(&place).await?.json();
    assert_eq!(report["critical_result"], true);
    Ok(())
}

/// Adds an addendum with another critical finding.
async fn a_second_finding(radiologist: &RadiologistClient, place: &str) -> Result<()> {
    let addendum = json!({ "content": "a second bleed", "critical_result": true });
    let adding = format!("{place}/addenda");
    let added = radiologist.client.post(&adding, &addendum).await?;
    assert_eq!(added.status, 201, "{added:?}");
    Ok(())
}

async fn an_addendum_after_somebody_was_told_raises_another_one(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_critical(&radiologist, &ours, true).await?;
    let telling = format!("{place}/communications");
    let first = radiologist.client.post(&telling, &told()).await?.json();
    let raised_at = listed(&room, "?status=communicated").await?[0]["raised_at"].clone();
    a_second_finding(&radiologist, &place).await?;
    let open = listed(&room, "").await?;
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0]["critical_communication"], "outstanding");
    assert_eq!(open[0]["communications"], json!([]));
    assert!(open[0]["raised_at"].as_str() > raised_at.as_str());
    let report = radiologist.client.get(&place).await?.json();
    assert_eq!(report["critical_communication"], "outstanding");
    assert_eq!(report["communications"], json!([first]));
    let second = radiologist.client.post(&telling, &told()).await?;
    assert_eq!(second.status, 201);
    assert_ne!(
        second.json()["id"],
        first["id"],
        "it tells of another result"
    );
    assert_eq!(listed(&room, "").await?.len(), 0);
    let done = listed(&room, "?status=communicated").await?;
    assert_eq!(done[0]["communications"], json!([second.json()]));
    Ok(())
}

async fn another_one_is_overdue_by_its_own_deadline(engine: EngineKind) -> Result<()> {
    let room = super::a_room_with(engine, &["--critical-deadline", "1s"]).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_draft(&radiologist, &ours, json!({})).await?;
    let marked = json!({ "critical_result": true });
    assert_eq!(radiologist.client.patch(&place, &marked).await?.status, 200);
    let signing = json!({ "final": true, "communication": told() });
    let to_sign = format!("{place}/sign");
    let signed = radiologist.client.post(&to_sign, &signing).await?;
    assert_eq!(signed.status, 200, "{signed:?}");
    a_second_finding(&radiologist, &place).await?;
    let names = || async { trail(&room, &place).await.unwrap_or_default() };
    let is_overdue = |texts: &Vec<String>| {
        texts
            .last()
            .is_some_and(|text| text == "CriticalResultOverdue")
    };
    let names = wait_until("an overdue result", WAIT_TIMEOUT, names, is_overdue).await?;
    let found = names.iter().filter(|name| *name == "CriticalResultOverdue");
    assert_eq!(found.count(), 1, "{names:?}");
    assert_eq!(listed(&room, "?status=overdue").await?.len(), 1);
    Ok(())
}

async fn is_overdue_where_nobody_was_told_in_time(engine: EngineKind) -> Result<()> {
    let room = super::a_room_with(engine, &["--critical-deadline", "1s"]).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_critical(&radiologist, &ours, true).await?;
    let overdue = || async { listed(&room, "?status=overdue").await.unwrap_or_default() };
    let overdue = wait_until("an overdue result", WAIT_TIMEOUT, overdue, |values| {
        !values.is_empty()
    });
    let overdue = overdue.await?;
    assert_eq!(overdue[0]["radiology_report_id"], overdue[0]["id"]);
    assert_eq!(overdue[0]["overdue"], true);
    let names = trail(&room, &place).await?;
    assert_eq!(
        names.last().map(String::as_str),
        Some("CriticalResultOverdue")
    );
    let open = listed(&room, "?status=open").await?;
    assert_eq!(
        open[0]["id"], overdue[0]["id"],
        "it stays open until somebody is told"
    );
    let metrics = room.house.client.get("/metrics").await?.text;
    assert!(metrics.contains("roentgen_critical_results_overdue_total 1"));
    let told = radiologist
        .client
        .post(&format!("{place}/communications"), &told())
        .await;
    assert_eq!(told?.status, 201);
    assert_eq!(listed(&room, "").await?.len(), 0);
    assert_eq!(
        listed(&room, "?status=communicated").await?[0]["overdue"],
        true
    );
    Ok(())
}

async fn a_cancelled_report_has_none(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_critical(&radiologist, &ours, false).await?;
    assert_eq!(listed(&room, "").await?.len(), 1);
    let reason = json!({ "reason": "another patient's images" });
    let cancelled = radiologist
        .client
        .post(&format!("{place}/cancel"), &reason)
        .await;
    assert_eq!(cancelled?.status, 200);
    assert_eq!(listed(&room, "?status=all").await?.len(), 0);
    let again = a_critical(&radiologist, &ours, false).await?;
    assert_eq!(again, place);
    assert_eq!(listed(&room, "").await?.len(), 1, "it is another report");
    Ok(())
}
