//! `/imaging-ai/models`.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};

use super::{MODELS, a_model};
use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::test_app::{TestApp, fresh, on_both_engines, with};

on_both_engines!(
    are_created_once_and_changed,
    are_listed_by_every_filter,
    never_show_a_secret,
    refuse_what_is_not_acceptable,
    refuse_unknown_ids_members_and_parameters,
);

async fn are_created_once_and_changed(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let told = json!({ "name": "ICH triage", "description": "d", "modality_code": "CT", "body_part": "Head",
        "capabilities": { "triage": true, "quality": false }, "vendor": "V", "is_active": true,
        "endpoint_config": { "url": "https://ai.example.org/v1", "timeout_ms": 30000, "max_attempts": 3 } });
    let sent = json!({ "code": "ct_head_ich_triage", "version": "2.1", "tenant_id": house.tenant });
    let created = house
        .client
        .post(MODELS, &with(told.clone(), sent.clone()))
        .await?;
    assert_eq!(created.status, 201, "{created:?}");
    for (member, value) in told.as_object().into_iter().flatten() {
        assert_eq!(&created.json()[member], value, "{member}");
    }
    let words = ["/code", "/model_version"].map(|text| created.text_at(text));
    assert_eq!(words, ["CT_HEAD_ICH_TRIAGE", "2.1"]);
    assert_eq!(created.json()["version"], 1, "counts the resource's events");
    let place = created.header("location");
    assert_eq!(house.client.get(&place).await?.text, created.text);
    let again = RejectedRequest::post(
        MODELS,
        with(told, sent).to_string(),
        ProblemCode::AlreadyExists,
    );
    assert_all_rejected(&house.client, vec![again]).await?;
    let changes = json!({ "name": "N", "description": "D", "modality_code": "MR", "body_part": "KNEE",
        "capabilities": { "triage": null, "quality": null, "pre_report": true }, "vendor": "W",
        "model_version": "3", "is_active": false,
        "endpoint_config": { "url": "http://ai", "timeout_ms": null, "max_attempts": null } });
    let merged = json!({ "capabilities": { "pre_report": true },
        "endpoint_config": { "url": "http://ai" } });
    let changed = house
        .client
        .with("if-match", "\"1\"")
        .patch(&place, &changes)
        .await?;
    assert_eq!(
        (changed.status, changed.header("etag")),
        (200, "\"2\"".to_owned()),
        "{changed:?}"
    );
    let expected = with(changes.clone(), merged);
    for (member, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(&changed.json()[member], value, "{member}");
    }
    let before = log_head(&house.client).await?;
    assert_eq!(
        house.client.patch(&place, &changes).await?.text,
        changed.text
    );
    assert_eq!(
        log_head(&house.client).await?,
        before,
        "nothing changed, nothing is appended"
    );
    let as_it_was = house
        .client
        .get(&format!("{place}?as_of={}", created.header("log-position")))
        .await?;
    assert_eq!(as_it_was.text, created.text);
    Ok(())
}

async fn are_listed_by_every_filter(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for (code, members) in [
        ("ANY", json!({})),
        (
            "CT_HEAD",
            json!({ "modality_code": "ct", "body_part": "Head" }),
        ),
        (
            "CT_CHEST",
            json!({ "modality_code": "CT", "body_part": "CHEST", "is_active": false }),
        ),
    ] {
        a_model(&house, code, members).await?;
    }
    for (query, codes) in [
        ("", vec!["CT_CHEST", "CT_HEAD", "ANY"]),
        ("modality_code=ct", vec!["CT_CHEST", "CT_HEAD"]),
        ("body_part=hEAD", vec!["CT_HEAD"]),
        ("is_active=true", vec!["CT_HEAD", "ANY"]),
        (
            "modality_code=CT&is_active=false&body_part=chest",
            vec!["CT_CHEST"],
        ),
        ("modality_code=MR", vec![]),
    ] {
        let listed = house.client.get(&format!("{MODELS}?{query}")).await?;
        let rows = listed.json();
        let found: Vec<&str> = rows
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|value| value["code"].as_str())
            .collect();
        assert_eq!(found, codes, "{query}: {listed:?}");
    }
    Ok(())
}

/// Responses, events (including exports of the feed) and problems are checked.
async fn never_show_a_secret(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let endpoint =
        |auth: Value| json!({ "endpoint_config": { "url": "https://ai", "auth": auth } });
    for (code, auth) in [
        (
            "BASIC",
            json!({ "kind": "basic", "username": "wombat-user", "password": "wombat-password" }),
        ),
        (
            "BEARER",
            json!({ "kind": "bearer", "token": "wombat-token" }),
        ),
        (
            "HEADER",
            json!({ "kind": "Header", "name": "X-Wombat", "value": "wombat-value" }),
        ),
        ("NONE", json!({ "kind": "none" })),
    ] {
        let id = a_model(&house, code, endpoint(auth)).await?;
        let place = format!("{MODELS}/{id}");
        let kind = code.to_ascii_lowercase();
        let shown = house.client.get(&place).await?;
        let folded = house
            .client
            .get(&format!("{place}?as_of=9999-01-01"))
            .await?;
        for shown in [&shown, &folded] {
            let auth = &shown.json()["endpoint_config"]["auth"];
            assert_eq!(auth, &json!({ "kind": kind }), "and nothing else");
        }
        assert!(!shown.text.to_lowercase().contains("wombat"), "{shown:?}");
    }
    let changed = endpoint(json!({ "kind": "bearer", "token": "wombat-later" }));
    let id = a_model(&house, "CHANGED", json!({})).await?;
    let changed = house
        .client
        .patch(&format!("{MODELS}/{id}"), &changed)
        .await?;
    assert_eq!(changed.status, 200, "{changed:?}");
    let wrong = endpoint(json!({ "kind": "bearer", "password": "wombat-wrong" }));
    let wrong = house
        .client
        .patch(&format!("{MODELS}/{id}"), &wrong)
        .await?;
    assert_eq!(wrong.status, 422, "{wrong:?}");
    let list = house.client.get(MODELS).await?;
    let feed = house.client.get("/events?phi=true").await?;
    for answer in [&changed, &list] {
        assert!(!answer.text.contains("secret"), "{answer:?}");
    }
    for answer in [changed, wrong, list, feed] {
        assert!(!answer.text.to_lowercase().contains("wombat"), "{answer:?}");
    }
    Ok(())
}

async fn refuse_what_is_not_acceptable(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let body = |members: Value| {
        let body = json!({ "code": "NEW", "name": "New", "capabilities": {} });
        with(body, members).to_string()
    };
    let post =
        |members: Value, code: ProblemCode| RejectedRequest::post(MODELS, body(members), code);
    let auth = |auth: Value| json!({ "endpoint_config": { "url": "https://ai", "auth": auth } });
    let bad_endpoint =
        json!({ "endpoint_config": { "url": "ftp://ai", "timeout_ms": 0, "max_attempts": 101 } });
    let refused = vec![
        RejectedRequest::post(MODELS, "{}", ProblemCode::Unacceptable).at(&[
            "/code",
            "/name",
            "/capabilities",
        ]),
        post(json!({ "code": "A B" }), ProblemCode::Unacceptable).at(&["/code"]),
        post(json!({ "name": " " }), ProblemCode::Unacceptable).at(&["/name"]),
        post(json!({ "modality_code": "C" }), ProblemCode::Unacceptable).at(&["/modality_code"]),
        post(json!({ "version": "a\0" }), ProblemCode::Unacceptable).at(&["/version"]),
        post(
            json!({ "capabilities": { "triage": 1 } }),
            ProblemCode::InvalidBody,
        )
        .at(&["/capabilities/triage"]),
        post(
            json!({ "capabilities": { "magic": true } }),
            ProblemCode::InvalidBody,
        )
        .at(&["/capabilities"]),
        post(
            json!({ "capabilities": ["triage"] }),
            ProblemCode::InvalidBody,
        )
        .at(&["/capabilities"]),
        post(json!({ "endpoint_config": {} }), ProblemCode::Unacceptable)
            .at(&["/endpoint_config/url"]),
        post(bad_endpoint, ProblemCode::Unacceptable).at(&[
            "/endpoint_config/url",
            "/endpoint_config/timeout_ms",
            "/endpoint_config/max_attempts",
        ]),
        post(
            json!({ "endpoint_config": { "url": "https://user:pass@ai" } }),
            ProblemCode::Unacceptable,
        )
        .at(&["/endpoint_config/url"]),
        post(auth(json!({})), ProblemCode::Unacceptable).at(&["/endpoint_config/auth/kind"]),
        post(auth(json!({ "kind": "oauth" })), ProblemCode::Unacceptable)
            .at(&["/endpoint_config/auth/kind"]),
        post(
            auth(json!({ "kind": "basic", "username": "u", "token": "t" })),
            ProblemCode::Unacceptable,
        )
        .at(&[
            "/endpoint_config/auth/password",
            "/endpoint_config/auth/token",
        ]),
        post(json!({ "tenant_id": fresh() }), ProblemCode::OtherTenant),
    ];
    assert_all_rejected(&house.client, refused).await
}

async fn refuse_unknown_ids_members_and_parameters(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let unknown = format!("{MODELS}/{}", fresh());
    let refused = vec![
        RejectedRequest::get(&unknown, ProblemCode::NotFound),
        RejectedRequest::patch(&unknown, "{}", ProblemCode::NotFound),
        RejectedRequest::patch(&unknown, r#"{"code":"OTHER"}"#, ProblemCode::InvalidBody).at(&[""]),
        RejectedRequest::get(
            "/imaging-ai/models?modality=CT",
            ProblemCode::InvalidParameter,
        ),
        RejectedRequest::get(
            "/imaging-ai/models?is_active=yes",
            ProblemCode::InvalidParameter,
        ),
    ];
    assert_all_rejected(&house.client, refused).await
}
