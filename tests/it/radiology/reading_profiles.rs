//! `/radiology/reading-profiles`.

use anyhow::Result;
use reqwest::Method;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient, TestResponse};
use serde_json::{Value, json};

use super::fixtures::{PROFILES, WorklistApp, done};
use crate::assertions::{RejectedRequest, assert_all_rejected, assert_problem, log_head};
use crate::test_app::{fresh, on_both_engines, with};

on_both_engines!(
    are_created_once_a_practitioner_and_changed,
    are_listed_by_every_filter,
    let_radiologists_say_where_they_read_and_nothing_else,
    refuse_what_is_not_acceptable,
);

async fn put(client: &TestClient, place: &str, body: &Value) -> Result<TestResponse> {
    let body = body.to_string().into_bytes();
    client.send(Method::PUT, place, body).await
}

async fn are_created_once_a_practitioner_and_changed(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let admin = &room.house.client;
    let told = json!({ "practitioner_id": fresh(), "allowed_modalities": ["CT", "MR"],
        "allowed_body_parts": ["HEAD"], "max_concurrent_cases": 7,
        "reading_locations": ["Room 1"], "is_active": true });
    let sent = with(told.clone(), json!({ "tenant_id": room.house.tenant }));
    let created = admin.post(PROFILES, &sent).await?;
    assert_eq!(created.status, 201, "{created:?}");
    for (member, value) in told.as_object().into_iter().flatten() {
        assert_eq!(&created.json()[member], value, "{member}");
    }
    let place = created.header("location");
    assert_eq!(admin.get(&place).await?.text, created.text);
    let again = admin.post(PROFILES, &told).await?;
    assert_problem(&again, ProblemCode::AlreadyExists, "one a practitioner");
    let changes =
        json!({ "allowed_modalities": null, "max_concurrent_cases": 2, "is_active": false });
    let changed = put(&admin.with("if-match", "\"1\""), &place, &changes).await?;
    done(&changed);
    let shown = changed.json();
    assert_eq!(shown.get("allowed_modalities"), None, "all are allowed");
    assert_eq!(shown["allowed_body_parts"], told["allowed_body_parts"]);
    assert_eq!(shown["max_concurrent_cases"], 2);
    let before = log_head(admin).await?;
    assert_eq!(put(admin, &place, &changes).await?.text, changed.text);
    assert_eq!(admin.patch(&place, &changes).await?.text, changed.text);
    assert_eq!(log_head(admin).await?, before);
    let patched = admin
        .patch(&place, &json!({ "max_concurrent_cases": 3 }))
        .await?;
    assert_eq!(
        (patched.status, &patched.json()["max_concurrent_cases"]),
        (200, &json!(3))
    );
    let least = json!({ "practitioner_id": fresh() });
    let least = admin.post(PROFILES, &least).await?.json();
    assert_eq!(
        (&least["max_concurrent_cases"], &least["is_active"]),
        (&json!(5), &json!(true))
    );
    Ok(())
}

async fn are_listed_by_every_filter(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let admin = &room.house.client;
    let anna = fresh();
    let boris = fresh();
    let mut ids = Vec::new();
    for (practitioner, is_active) in [(anna, true), (boris, false)] {
        let body = json!({ "practitioner_id": practitioner, "is_active": is_active });
        ids.push(admin.post(PROFILES, &body).await?.text_at("/id"));
    }
    let both = [ids[1].clone(), ids[0].clone()];
    for (query, expected) in [
        (String::new(), &both[..]),
        ("?is_active=true".to_owned(), &both[1..]),
        ("?is_active=false".to_owned(), &both[..1]),
        (format!("?practitioner_id={anna}"), &both[1..]),
        (format!("?practitioner_id={anna}&is_active=false"), &[]),
        (format!("?practitioner_id={}", fresh()), &[]),
    ] {
        let listed = admin.get(&format!("{PROFILES}{query}")).await?;
        assert_eq!(listed.ids(), expected, "{query}: {listed:?}");
    }
    Ok(())
}

async fn let_radiologists_say_where_they_read_and_nothing_else(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let anna = room.radiologist_with(json!({})).await?;
    let boris = room.radiologist_with(json!({})).await?;
    let of = |practitioner: uuid::Uuid| format!("{PROFILES}?practitioner_id={practitioner}");
    let own = room.house.client.get(&of(anna.id)).await?.ids().concat();
    let place = format!("{PROFILES}/{own}");
    let moved = json!({ "reading_locations": ["Home"] });
    let changed = put(&anna.client, &place, &moved).await?;
    done(&changed);
    assert_eq!(changed.json()["reading_locations"], json!(["Home"]));
    let refused = [
        put(&boris.client, &place, &moved).await?,
        put(&anna.client, &place, &json!({ "is_active": false })).await?,
        put(&anna.client, &place, &json!({ "allowed_modalities": null })).await?,
        put(
            &anna.client,
            &place,
            &json!({ "reading_locations": ["Home"], "max_concurrent_cases": 9 }),
        )
        .await?,
    ];
    for answer in refused {
        assert_problem(&answer, ProblemCode::Forbidden, "more than one's own place");
    }
    Ok(())
}

async fn refuse_what_is_not_acceptable(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let post = |body: &'static str, code| RejectedRequest::post(PROFILES, body, code);
    assert_all_rejected(
        &room.house.client,
        vec![
            post("{}", ProblemCode::Unacceptable).at(&["/practitioner_id"]),
            post(r#"{"practitioner_id":"x"}"#, ProblemCode::InvalidBody),
            post(r#"{"practitioner":"x"}"#, ProblemCode::InvalidBody),
            post(
                r#"{"practitioner_id":"00000000-0000-0000-0000-000000000021","max_concurrent_cases":0,
                    "allowed_modalities":["CT","C T"],"reading_locations":[""]}"#,
                ProblemCode::Unacceptable,
            )
            .at(&["/allowed_modalities/1", "/max_concurrent_cases", "/reading_locations/0"]),
            RejectedRequest::get("/radiology/reading-profiles?active=true", ProblemCode::InvalidParameter),
        ],
    )
    .await
}
