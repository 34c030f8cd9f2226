//! `/imaging/modalities`.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::json;

use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::test_app::{TestApp, create_catalog, fresh, on_both_engines};

on_both_engines!(are_created_once_and_changed, are_listed_newest_first);

const MODALITIES: &str = "/imaging/modalities";

async fn are_created_once_and_changed(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let body = json!({ "code": "mr", "name": "Magnetic resonance", "description": "3 T" });
    let created = house.client.post(MODALITIES, &body).await?;
    assert_eq!(
        (created.status, created.text_at("/code").as_str()),
        (201, "MR"),
        "{created:?}"
    );
    assert_eq!(created.json()["is_active"], true);
    let place = created.header("location");
    let refused = vec![
        RejectedRequest::post(MODALITIES, body.to_string(), ProblemCode::AlreadyExists),
        RejectedRequest::post(
            MODALITIES,
            r#"{"code":"MR","name":"x"}"#,
            ProblemCode::AlreadyExists,
        ),
        RejectedRequest::post(MODALITIES, "{}", ProblemCode::Unacceptable).at(&["/code", "/name"]),
        RejectedRequest::post(
            MODALITIES,
            r#"{"code":"X","name":""}"#,
            ProblemCode::Unacceptable,
        )
        .at(&["/code", "/name"]),
        RejectedRequest::post(
            MODALITIES,
            r#"{"code":"A-B","name":"x"}"#,
            ProblemCode::Unacceptable,
        )
        .at(&["/code"]),
        RejectedRequest::post(
            MODALITIES,
            r#"["DX","Digital",null,true,null]"#,
            ProblemCode::InvalidBody,
        ),
        RejectedRequest::patch(&place, r#"{"code":"XX"}"#, ProblemCode::InvalidBody).at(&[""]),
        RejectedRequest::patch(
            &place,
            r#"{"description":"\u0000"}"#,
            ProblemCode::Unacceptable,
        )
        .at(&["/description"]),
        RejectedRequest::patch(&place, r#"["Other"]"#, ProblemCode::InvalidBody),
    ];
    assert_all_rejected(&house.client, refused).await?;
    let changes = json!({ "name": "MRI", "description": "1.5 T", "is_active": false });
    let changed = house.client.patch(&place, &changes).await?;
    for member in ["name", "description", "is_active"] {
        assert_eq!(changed.json()[member], changes[member]);
    }
    let before = log_head(&house.client).await?;
    assert_eq!(
        house.client.patch(&place, &changes).await?.text,
        changed.text
    );
    assert_eq!(log_head(&house.client).await?, before);
    assert_eq!(house.client.get(&place).await?.text, changed.text);
    Ok(())
}

async fn are_listed_newest_first(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    create_catalog(&TestClient::dev(&house.server.base, fresh())).await?;
    for (code, is_active) in [("MR", true), ("US", false), ("XR", true)] {
        let body = json!({ "code": code, "name": code, "is_active": is_active });
        assert_eq!(house.client.post(MODALITIES, &body).await?.status, 201);
    }
    for (query, codes) in [
        ("", vec!["XR", "US", "MR", "CT"]),
        ("?is_active=true", vec!["XR", "MR", "CT"]),
        ("?is_active=false", vec!["US"]),
        ("?limit=2", vec!["XR", "US"]),
    ] {
        let listed = house.client.get(&format!("{MODALITIES}{query}")).await?;
        let rows = listed.json().as_array().cloned().unwrap_or_default();
        let found: Vec<&str> = rows.iter().filter_map(|row| row["code"].as_str()).collect();
        assert_eq!(found, codes, "{query}");
    }
    let first = house.client.get(&format!("{MODALITIES}?limit=3")).await?;
    let second = house
        .client
        .get(&first.next_page().unwrap_or_default())
        .await?;
    assert_eq!(
        (second.ids().len(), second.next_page()),
        (1, None),
        "{second:?}"
    );
    Ok(())
}
