//! `/pacs/endpoints`.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};

use super::fixtures::endpoint;
use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    is_added_once_and_shown_without_what_it_takes_to_log_in,
    is_changed_where_something_changes,
    is_listed_by_whether_it_is_active,
    another_tenants_is_not_there,
    what_is_not_acceptable_is_named,
);

const AT: &str = "/pacs/endpoints";

fn whole() -> Value {
    endpoint(
        "main_pacs",
        json!({
            "description": "Basement", "ae_title": " MAIN ", "host": "pacs.example", "port": 104,
            "base_url": "https://pacs.example/dicom-web",
            "auth_config": { "kind": "basic", "username": "roentgen", "password": "hunter2" },
            "viewer_launch_url": "https://viewer/{study_instance_uid}?t={token}",
        }),
    )
}

async fn is_added_once_and_shown_without_what_it_takes_to_log_in(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let created = house.client.post(AT, &whole()).await?;
    assert_eq!(created.status, 201, "{created:?}");
    let shown = created.json();
    assert_eq!(shown["code"], "MAIN_PACS");
    assert_eq!(shown["protocol"], "DICOMWEB");
    assert_eq!(shown["ae_title"], "MAIN");
    assert_eq!(shown["auth_config"], json!({ "kind": "basic" }));
    assert_eq!(
        (&shown["completes_order"], &shown["is_active"]),
        (&json!(true), &json!(true))
    );
    let read = house.client.get(&created.header("location")).await?;
    assert_eq!(read.json(), shown);
    let again = RejectedRequest::post(AT, whole().to_string(), ProblemCode::AlreadyExists);
    assert_all_rejected(&house.client, vec![again]).await
}

async fn is_changed_where_something_changes(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let created = house.client.post(AT, &whole()).await?;
    let at = created.header("location");
    let change = json!({ "name": "Archive", "completes_order": false, "protocol": "WADO-RS" });
    let changed = house.client.patch(&at, &change).await?;
    assert_eq!(
        (changed.status, changed.text_at("/name")),
        (200, "Archive".to_owned())
    );
    assert_eq!(changed.text_at("/protocol"), "WADO_RS");
    let before = log_head(&house.client).await?;
    assert_eq!(
        house.client.patch(&at, &change).await?.json(),
        changed.json()
    );
    assert_eq!(log_head(&house.client).await?, before);
    let bearer = json!({ "auth_config": { "kind": "bearer", "token": "t" } });
    let changed = house.client.patch(&at, &bearer).await?.json();
    assert_eq!(changed["auth_config"], json!({ "kind": "bearer" }));
    Ok(())
}

async fn is_listed_by_whether_it_is_active(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for (code, is_active) in [("A", true), ("B", false), ("C", true)] {
        let body = endpoint(code, json!({ "is_active": is_active }));
        house.client.post(AT, &body).await?;
    }
    for (query, expected) in [("", 3), ("?is_active=true", 2), ("?is_active=false", 1)] {
        let listed = house.client.get(&format!("{AT}{query}")).await?;
        assert_eq!(listed.ids().len(), expected, "{query}");
    }
    Ok(())
}

async fn another_tenants_is_not_there(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let at = house.client.post(AT, &whole()).await?.header("location");
    let stranger = roentgen_tests::TestClient::dev(&house.server.base, fresh());
    let refused = vec![
        RejectedRequest::get(&at, ProblemCode::NotFound),
        RejectedRequest::patch(&at, "{}", ProblemCode::NotFound),
    ];
    assert_all_rejected(&stranger, refused).await?;
    assert_eq!(stranger.get(AT).await?.ids(), [""; 0]);
    Ok(())
}

async fn what_is_not_acceptable_is_named(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let cases: &[(Value, &'static str)] = &[
        (json!({ "code": "A B" }), "/code"),
        (json!({ "name": " " }), "/name"),
        (json!({ "protocol": "HTTP" }), "/protocol"),
        (json!({ "ae_title": "12345678901234567" }), "/ae_title"),
        (json!({ "port": 0 }), "/port"),
        (json!({ "port": 65_536 }), "/port"),
        (json!({ "host": "a b" }), "/host"),
        (json!({ "base_url": "ftp://pacs" }), "/base_url"),
        (json!({ "base_url": "https://u:p@pacs" }), "/base_url"),
        (
            json!({ "viewer_launch_url": "https://viewer/" }),
            "/viewer_launch_url",
        ),
        (
            json!({ "viewer_launch_url": "https://v/{study_instance_uid}{x}" }),
            "/viewer_launch_url",
        ),
        (json!({ "auth_config": {} }), "/auth_config/kind"),
        (
            json!({ "auth_config": { "kind": "bearer" } }),
            "/auth_config/token",
        ),
        (
            json!({ "auth_config": { "kind": "none", "token": "t" } }),
            "/auth_config/token",
        ),
    ];
    let pointers: Vec<[&str; 1]> = cases.iter().map(|case| [case.1]).collect();
    let mut refused = Vec::new();
    for ((members, _), pointer) in cases.iter().zip(&pointers) {
        let body = endpoint("MAIN", members.clone()).to_string();
        refused.push(RejectedRequest::post(AT, body, ProblemCode::Unacceptable).at(pointer));
    }
    refused.push(
        RejectedRequest::post(AT, "{}", ProblemCode::Unacceptable).at(&[
            "/code",
            "/name",
            "/protocol",
        ]),
    );
    let typo = endpoint(
        "MAIN",
        json!({ "auth_config": { "kind": "none", "pasword": "x" } }),
    );
    refused.push(RejectedRequest::post(
        AT,
        typo.to_string(),
        ProblemCode::InvalidBody,
    ));
    assert_all_rejected(&house.client, refused).await
}
