//! `/imaging/modalities`.

use anyhow::Result;
use roentgen_api::problem::Code;
use roentgen_tests::{Client, Engine};
use serde_json::json;

use crate::expect::{Refused, all_refused, head};
use crate::story::{House, catalog, fresh, on_both_engines};

on_both_engines!(are_created_once_and_changed, are_listed_newest_first);

const MODALITIES: &str = "/imaging/modalities";

async fn are_created_once_and_changed(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
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
        Refused::post(MODALITIES, body.to_string(), Code::AlreadyExists),
        Refused::post(
            MODALITIES,
            r#"{"code":"MR","name":"x"}"#,
            Code::AlreadyExists,
        ),
        Refused::post(MODALITIES, "{}", Code::Unacceptable).at(&["/code", "/name"]),
        Refused::post(MODALITIES, r#"{"code":"X","name":""}"#, Code::Unacceptable)
            .at(&["/code", "/name"]),
        Refused::post(
            MODALITIES,
            r#"{"code":"A-B","name":"x"}"#,
            Code::Unacceptable,
        )
        .at(&["/code"]),
        Refused::post(
            MODALITIES,
            r#"["DX","Digital",null,true,null]"#,
            Code::InvalidBody,
        ),
        Refused::patch(&place, r#"{"code":"XX"}"#, Code::InvalidBody).at(&[""]),
        Refused::patch(&place, r#"{"description":"\u0000"}"#, Code::Unacceptable)
            .at(&["/description"]),
        Refused::patch(&place, r#"["Other"]"#, Code::InvalidBody),
    ];
    all_refused(&house.client, refused).await?;
    let changes = json!({ "name": "MRI", "description": "1.5 T", "is_active": false });
    let changed = house.client.patch(&place, &changes).await?;
    for member in ["name", "description", "is_active"] {
        assert_eq!(changed.json()[member], changes[member]);
    }
    let before = head(&house.client).await?;
    assert_eq!(
        house.client.patch(&place, &changes).await?.text,
        changed.text
    );
    assert_eq!(head(&house.client).await?, before);
    assert_eq!(house.client.get(&place).await?.text, changed.text);
    Ok(())
}

async fn are_listed_newest_first(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
    catalog(&Client::dev(&house.server.base, fresh())).await?;
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
        let found: Vec<&str> = rows.iter().filter_map(|it| it["code"].as_str()).collect();
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
