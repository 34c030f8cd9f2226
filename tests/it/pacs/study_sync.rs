//! Study sync by a PACS.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::fixtures::{archive, endpoint, place, quiet, series, study, sync, trail, uid};
use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::test_app::{fresh, on_both_engines, with};

on_both_engines!(
    a_new_one_is_201_and_a_known_one_200_and_nothing_new_appends_nothing,
    what_changed_is_taken_up_and_what_is_left_out_stays,
    series_that_come_late_are_added,
    the_first_endpoint_stays,
    another_patient_is_a_conflict,
    an_archived_study_takes_nothing_more,
    of_32_clients_at_once_there_is_one_study,
    a_repeat_of_the_same_request_gets_the_first_answer,
    the_past_and_this_moment_can_be_read,
    what_is_not_acceptable_is_named,
);

async fn a_new_one_is_201_and_a_known_one_200_and_nothing_new_appends_nothing(
    engine: EngineKind,
) -> Result<()> {
    let house = archive(engine).await?;
    let own = uid();
    let body = study(
        json!({ "study_instance_uid": own, "series": series(&own, 2, 3),
        "tenant_id": house.tenant, "patient": { "family_name": "Roe", "sex": "F" },
        "started_at": "2026-01-31T08:00:00Z", "body_part": "Head" }),
    );
    let created = sync(&house, &body).await?;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.header("location"), place(&created));
    assert_eq!(created.json()["number_of_series"], 2);
    assert_eq!(created.json()["number_of_instances"], 6);
    assert_eq!(created.text_at("/link"), "unlinked");
    assert_eq!(created.text_at("/status"), "available");
    assert_eq!(created.text_at("/patient/family_name"), "Roe");
    let trail = trail(&house, &created.text_at("/id")).await?;
    let expected =
        ["Available", "SeriesAdded", "InstancesAdded"].map(|text| format!("ImagingStudy.{text}"));
    assert_eq!(trail, expected);

    let before = log_head(&house.client).await?;
    let again = sync(&house, &body).await?;
    assert_eq!((again.status, again.json()), (200, created.json()));
    let less = sync(
        &house,
        &with(body, json!({ "series": null, "body_part": null })),
    )
    .await?;
    assert_eq!((less.status, less.json()), (200, created.json()));
    assert_eq!(log_head(&house.client).await?, before);
    let read = house.client.get(&place(&created)).await?;
    assert_eq!(read.json(), created.json());
    assert_eq!(read.header("etag"), created.header("etag"));
    Ok(())
}

async fn what_changed_is_taken_up_and_what_is_left_out_stays(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let body = study(json!({ "description": "CT head", "body_part": "HEAD" }));
    sync(&house, &body).await?;
    let change = json!({ "description": "CT head, repeated", "body_part": null,
        "ended_at": "2026-01-31T08:30:00Z" });
    let changed = sync(&house, &with(body, change)).await?.json();
    assert_eq!(changed["description"], "CT head, repeated");
    assert_eq!(changed["body_part"], "HEAD");
    assert_eq!(changed["ended_at"], "2026-01-31T08:30:00.000Z");
    assert_eq!(changed["version"], 2);
    Ok(())
}

async fn series_that_come_late_are_added(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let own = uid();
    let told = |n, m| series(&own, n, m);
    let body = study(json!({ "study_instance_uid": own, "series": told(1, 2) }));
    let first = sync(&house, &body).await?;
    let late = sync(&house, &with(body, json!({ "series": told(2, 3) }))).await?;
    assert_eq!(late.text_at("/id"), first.text_at("/id"));
    assert_eq!(late.json()["number_of_instances"], 6);
    let list = format!("/pacs/series?imaging_study_id={}", first.text_at("/id"));
    let listed = house.client.get(&list).await?.json();
    let numbers: Vec<&Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|value| &value["number_of_instances"])
        .collect();
    assert_eq!(numbers, [3, 3]);
    Ok(())
}

async fn the_first_endpoint_stays(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let other = house
        .client
        .post("/pacs/endpoints", &endpoint("OTHER", json!({})))
        .await?;
    assert_eq!(other.status, 201, "{other:?}");
    let body = study(json!({}));
    let first = sync(&house, &body).await?;
    let again = with(body, json!({ "pacs_endpoint_code": "OTHER" }));
    assert_eq!(sync(&house, &again).await?.json(), first.json());
    Ok(())
}

async fn another_patient_is_a_conflict(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let body = study(json!({}));
    sync(&house, &body).await?;
    let other = with(body, json!({ "patient_id": fresh() })).to_string();
    let refused = RejectedRequest::post("/pacs/studies/sync", other, ProblemCode::OtherPatient);
    assert_all_rejected(&house.client, vec![refused]).await
}

async fn an_archived_study_takes_nothing_more(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let body = study(json!({}));
    let at = place(&sync(&house, &body).await?);
    let archive = json!({ "status": "archived" });
    let archived = house.client.patch(&at, &archive).await?;
    assert_eq!(archived.text_at("/status"), "archived", "{archived:?}");
    let before = log_head(&house.client).await?;
    assert_eq!(
        house.client.patch(&at, &archive).await?.json(),
        archived.json()
    );
    assert_eq!(log_head(&house.client).await?, before);
    let series =
        json!({ "imaging_study_id": archived.text_at("/id"), "series_instance_uid": uid() });
    let refused = vec![
        RejectedRequest::post(
            "/pacs/studies/sync",
            body.to_string(),
            ProblemCode::TransitionRefused,
        ),
        RejectedRequest::post(
            "/pacs/series",
            series.to_string(),
            ProblemCode::TransitionRefused,
        ),
        RejectedRequest::patch(
            &at,
            r#"{"status":"available"}"#,
            ProblemCode::TransitionRefused,
        ),
        RejectedRequest::patch(
            &at,
            r#"{"number_of_series":9}"#,
            ProblemCode::TransitionRefused,
        ),
    ];
    assert_all_rejected(&house.client, refused).await
}

async fn of_32_clients_at_once_there_is_one_study(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let own = uid();
    let body = study(json!({ "study_instance_uid": own }));
    let mut clients = JoinSet::new();
    for n in 0..32 {
        let client = house.client.repeating();
        let told = series(&own, n % 4 + 1, n % 5 + 1);
        let body = with(body.clone(), json!({ "series": told }));
        clients.spawn(async move { client.post("/pacs/studies/sync", &body).await });
    }
    let mut created = 0;
    for answer in clients.join_all().await {
        let answer = answer?;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        created += usize::from(answer.status == 201);
    }
    assert_eq!(created, 1);
    quiet(&house).await?;
    let filter = format!("/pacs/studies?study_instance_uid={own}");
    let listed = house.client.get(&filter).await?.json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["number_of_series"], 4);
    let path = format!("/events?stream_id={}", listed[0]["id"].as_str().unwrap());
    let events = house.client.get(&path).await?.lines();
    let versions: Vec<Value> = events
        .iter()
        .map(|event| event["version"].clone())
        .collect();
    let dense: Vec<Value> = (1..=events.len()).map(|number| json!(number)).collect();
    assert_eq!(versions, dense);
    crate::read_model_audit::assert_match_log(&house.database)
        .await
        .map(drop)
}

async fn a_repeat_of_the_same_request_gets_the_first_answer(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let own = uid();
    let body = study(json!({ "study_instance_uid": own, "series": series(&own, 1, 1) }));
    let client = house.client.with("idempotency-key", "sync-1");
    let first = client.post("/pacs/studies/sync", &body).await?;
    sync(
        &house,
        &with(body.clone(), json!({ "description": "later" })),
    )
    .await?;
    let before = log_head(&house.client).await?;
    let repeated = client.post("/pacs/studies/sync", &body).await?;
    assert_eq!((repeated.status, &repeated.text), (201, &first.text));
    assert_eq!(log_head(&house.client).await?, before);
    Ok(())
}

async fn the_past_and_this_moment_can_be_read(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let body = study(json!({}));
    let first = sync(&house, &body).await?;
    for n in 0..20 {
        let told = with(body.clone(), json!({ "description": format!("n {n}") }));
        let told = sync(&house, &told).await?;
        let read = house.client.get(&place(&first)).await?;
        assert_eq!(read.json(), told.json(), "one's own write is read");
    }
    let then = format!("{}?as_of={}", place(&first), first.header("log-position"));
    assert_eq!(house.client.get(&then).await?.json(), first.json());
    Ok(())
}

async fn what_is_not_acceptable_is_named(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let retired = endpoint("RETIRED", json!({ "is_active": false }));
    let retired = house.client.post("/pacs/endpoints", &retired).await?;
    assert_eq!(retired.status, 201, "{retired:?}");
    let at = "/pacs/studies/sync";
    let needed: &[&str] = &[
        "/pacs_endpoint_code",
        "/study_instance_uid",
        "/patient_id",
        "/modality_code",
    ];
    let mut refused = vec![RejectedRequest::post(at, "{}", ProblemCode::Unacceptable).at(needed)];
    for (members, code, pointers) in unacceptable() {
        refused.push(RejectedRequest::post(at, study(members).to_string(), code).at(pointers));
    }
    assert_all_rejected(&house.client, refused).await
}

/// Returns invalid members, with the expected problem and its pointers.
fn unacceptable() -> Vec<(Value, ProblemCode, &'static [&'static str])> {
    let instances = json!([{ "sop_instance_uid": "1.2.1" },
        { "sop_instance_uid": "1.02", "instance_number": 3_000_000_000_u64 }]);
    let series = |members| with(json!({ "series_instance_uid": "1.2" }), members);
    vec![
        (
            json!({ "series": [series(json!({ "instances": instances }))] }),
            ProblemCode::Unacceptable,
            &[
                "/series/0/instances/1/sop_instance_uid",
                "/series/0/instances/1/instance_number",
            ],
        ),
        (
            json!({ "series": [series(json!({ "number_of_instances": -1 }))] }),
            ProblemCode::Unacceptable,
            &["/series/0/number_of_instances"],
        ),
        (
            json!({ "study_instance_uid": "1.2.a" }),
            ProblemCode::Unacceptable,
            &["/study_instance_uid"],
        ),
        (
            json!({ "body_part": "a\0b" }),
            ProblemCode::Unacceptable,
            &["/body_part"],
        ),
        (
            json!({ "modality_code": "C" }),
            ProblemCode::Unacceptable,
            &["/modality_code"],
        ),
        (
            json!({ "started_at": "yesterday", "ended_at": "2026-02-30T08:00:00Z" }),
            ProblemCode::Unacceptable,
            &["/started_at", "/ended_at"],
        ),
        (
            json!({ "accession_number": "ImagingStudy:1.2" }),
            ProblemCode::Unacceptable,
            &["/accession_number"],
        ),
        (
            json!({ "pacs_endpoint_code": "NOWHERE" }),
            ProblemCode::ReferenceNotFound,
            &["/pacs_endpoint_code"],
        ),
        (
            json!({ "pacs_endpoint_code": "RETIRED" }),
            ProblemCode::Inactive,
            &["/pacs_endpoint_code"],
        ),
        (
            json!({ "imaging_order_id": fresh() }),
            ProblemCode::ReferenceNotFound,
            &["/imaging_order_id"],
        ),
        (
            json!({ "tenant_id": fresh() }),
            ProblemCode::OtherTenant,
            &[],
        ),
        (json!({ "studyid": 1 }), ProblemCode::InvalidBody, &[]),
        (json!({ "series": {} }), ProblemCode::InvalidBody, &[]),
        (
            json!({ "series": [series(json!({ "uid": "1.2" }))] }),
            ProblemCode::InvalidBody,
            &[],
        ),
    ]
}
