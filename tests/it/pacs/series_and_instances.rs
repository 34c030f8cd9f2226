//! `/pacs/series` and `/pacs/instances`.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};

use super::fixtures::{archive, place, series, study, sync, uid};
use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::read_model_audit::assert_match_log;
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    a_series_and_an_instance_are_added_once,
    are_listed_by_their_numbers,
    new_instance_is_readable_on_second_server,
    what_they_belong_to_must_be_there,
    another_tenants_are_not_there,
);

async fn a_series_and_an_instance_are_added_once(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let told = sync(&house, &study(json!({}))).await?;
    let own = uid();
    let study_id = told.text_at("/id");
    let body = json!({ "imaging_study_id": study_id, "series_instance_uid": own,
        "series_number": 2, "modality_code": "ct", "number_of_instances": 3, "tenant_id": house.tenant });
    let added = house.client.post("/pacs/series", &body).await?;
    assert_eq!(added.status, 201, "{added:?}");
    assert_eq!(added.text_at("/modality_code"), "CT");
    let listed = house.client.get(&added.header("location")).await?.json();
    assert_eq!(listed, json!([added.json()]));

    let instance = json!({ "imaging_series_id": added.text_at("/id"),
        "sop_instance_uid": format!("{own}.1"), "instance_number": 1 });
    let shown = house.client.post("/pacs/instances", &instance).await?;
    assert_eq!(shown.status, 201, "{shown:?}");
    assert_eq!(shown.text_at("/imaging_study_id"), study_id);
    let listed = house.client.get(&shown.header("location")).await?.json();
    assert_eq!(listed, json!([shown.json()]));
    let after = house.client.get(&place(&told)).await?.json();
    assert_eq!(
        (&after["number_of_series"], &after["number_of_instances"]),
        (&json!(1), &json!(3))
    );
    let twice = vec![
        RejectedRequest::post("/pacs/series", body.to_string(), ProblemCode::AlreadyExists),
        RejectedRequest::post(
            "/pacs/instances",
            instance.to_string(),
            ProblemCode::AlreadyExists,
        ),
    ];
    assert_all_rejected(&house.client, twice).await
}

async fn are_listed_by_their_numbers(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let numbered = |n: usize, number: Value| json!({ "series_instance_uid": format!("1.2.{n}"), "series_number": number });
    let told = [json!(10), json!(2), Value::Null, json!(-1)];
    let told: Vec<Value> = told
        .into_iter()
        .enumerate()
        .map(|(n, value)| numbered(n, value))
        .collect();
    let first = sync(&house, &study(json!({ "series": told }))).await?;
    let other = uid();
    sync(&house, &study(json!({ "series": series(&other, 1, 12) }))).await?;
    let list = format!("/pacs/series?imaging_study_id={}", first.text_at("/id"));
    let rows = house.client.get(&list).await?.json();
    let numbers: Vec<&Value> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|value| &value["series_number"])
        .collect();
    assert_eq!(numbers, [&json!(-1), &json!(2), &json!(10), &Value::Null]);
    let all = house.client.get("/pacs/series").await?;
    assert_eq!(all.ids().len(), 5);

    let mut numbers = Vec::new();
    let mut next = Some("/pacs/instances?limit=5".to_owned());
    while let Some(path) = next {
        let page = house.client.get(&path).await?;
        let rows = page.json().as_array().cloned().unwrap_or_default();
        numbers.extend(
            rows.iter()
                .map(|row| row["instance_number"].as_i64().unwrap()),
        );
        next = page.next_page();
    }
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    assert_match_log(&house.database).await.map(drop)
}

async fn new_instance_is_readable_on_second_server(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let neighbour = house.second_server().await?;
    let there = house.client.with_base_url(&neighbour.base);
    let told = sync(&house, &study(json!({}))).await?;
    for n in 0..10 {
        let own = uid();
        let body = json!({ "imaging_study_id": told.text_at("/id"), "series_instance_uid": own });
        let added = house.client.post("/pacs/series", &body).await?;
        let instance = json!({ "imaging_series_id": added.text_at("/id"), "sop_instance_uid": format!("{own}.1") });
        let client = if n % 2 == 0 { &there } else { &house.client };
        let shown = client.post("/pacs/instances", &instance).await?;
        assert_eq!(shown.status, 201, "{shown:?}");
    }
    Ok(())
}

async fn what_they_belong_to_must_be_there(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let series = json!({ "imaging_study_id": fresh(), "series_instance_uid": "1.2" });
    let instance = json!({ "imaging_series_id": fresh(), "sop_instance_uid": "1.2.1" });
    let refused = vec![
        RejectedRequest::post(
            "/pacs/series",
            series.to_string(),
            ProblemCode::ReferenceNotFound,
        )
        .at(&["/imaging_study_id"]),
        RejectedRequest::post(
            "/pacs/instances",
            instance.to_string(),
            ProblemCode::ReferenceNotFound,
        )
        .at(&["/imaging_series_id"]),
        RejectedRequest::post("/pacs/series", "{}", ProblemCode::Unacceptable)
            .at(&["/imaging_study_id", "/series_instance_uid"]),
        RejectedRequest::post("/pacs/instances", "{}", ProblemCode::Unacceptable)
            .at(&["/imaging_series_id", "/sop_instance_uid"]),
    ];
    assert_all_rejected(&house.client, refused).await
}

async fn another_tenants_are_not_there(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let own = uid();
    let told = sync(&house, &study(json!({ "series": series(&own, 1, 1) }))).await?;
    let rows = house.client.get("/pacs/series").await?.json();
    let stranger = roentgen_tests::TestClient::dev(&house.server.base, fresh());
    for list in ["/pacs/studies", "/pacs/series", "/pacs/instances"] {
        assert_eq!(stranger.get(list).await?.ids(), [""; 0]);
    }
    let before = log_head(&house.client).await?;
    let at = place(&told);
    let series = json!({ "imaging_study_id": told.text_at("/id"), "series_instance_uid": "1.2" });
    let instance = json!({ "imaging_series_id": rows[0]["id"], "sop_instance_uid": "1.2.1" });
    let refused = vec![
        RejectedRequest::get(&at, ProblemCode::NotFound),
        RejectedRequest::patch(&at, "{}", ProblemCode::NotFound),
        RejectedRequest::post(
            "/pacs/series",
            series.to_string(),
            ProblemCode::ReferenceNotFound,
        ),
        RejectedRequest::post(
            "/pacs/instances",
            instance.to_string(),
            ProblemCode::ReferenceNotFound,
        ),
    ];
    assert_all_rejected(&stranger, refused).await?;
    assert_eq!(log_head(&house.client).await?, before);
    Ok(())
}
