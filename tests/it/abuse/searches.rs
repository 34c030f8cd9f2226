//! Searches and names of any length: the cost of a client's text is bounded, and no response is a 5xx.

use anyhow::{Context as _, Result};
use roentgen_api::openapi;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::{Value, json};

use crate::assertions::assert_problem;
use crate::test_app::{TestApp, fresh, on_both_engines, with};

on_both_engines!(
    search_of_any_length_is_answered_or_refused,
    name_past_its_bound_is_refused_and_the_longest_is_found,
);

/// Returns every list with a `search` parameter, from the OpenAPI document.
fn searched() -> Result<Vec<String>> {
    let described = serde_json::to_value(openapi::describe())?;
    let paths = described["paths"].as_object().context("no paths")?;
    let takes_search = |operation: &Value| {
        let parameters = operation["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|one| one["name"] == "search"))
    };
    let lists = paths.iter().filter(|(_, path)| takes_search(&path["get"]));
    Ok(lists.map(|(path, _)| path.clone()).collect())
}

async fn search_of_any_length_is_answered_or_refused(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let lists = searched()?;
    assert!(!lists.is_empty());
    for list in lists {
        for letter in ["a", "%", "_", "\\", "ä"] {
            let path = format!("{list}?search={}", encoded(&letter.repeat(128)));
            let found = house.client.get(&path).await?;
            assert_eq!(found.status, 200, "128 of {letter}: {found:?}");
        }
        for length in [129, 1000, 10_000, 50_001, 60_000] {
            let path = format!("{list}?search={}", "a".repeat(length));
            let refused = house.client.get(&path).await?;
            assert_problem(
                &refused,
                ProblemCode::InvalidParameter,
                &format!("{length} letters"),
            );
        }
    }
    Ok(())
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Returns resources with a name, and bodies that are valid except for it.
fn named(modality: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("/imaging/modalities", json!({ "code": "MG" })),
        (
            "/imaging/procedures",
            json!({ "code": "LONG", "modality_id": modality }),
        ),
        (
            "/pacs/endpoints",
            json!({ "code": "LONG", "protocol": "DICOMWEB" }),
        ),
        (
            "/radiology/templates",
            json!({ "code": "LONG", "template_type": "free_text" }),
        ),
        (
            "/imaging-ai/models",
            json!({ "code": "LONG", "modality_code": "MR", "capabilities": { "triage": true } }),
        ),
    ]
}

/// Returns the optional short labels of the resource.
fn labels(path: &str) -> &'static [&'static str] {
    match path {
        "/imaging/procedures" => &["body_part", "snomed_code", "loinc_code"],
        "/radiology/templates" => &["body_part"],
        "/imaging-ai/models" => &["body_part", "vendor", "version", "model_version"],
        _ => &[],
    }
}

async fn name_past_its_bound_is_refused_and_the_longest_is_found(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let modalities = house.client.get("/imaging/modalities").await?.json();
    let modality = modalities[0]["id"].as_str().context("no modality")?;
    for (path, body) in named(modality) {
        refuses_longer(&house.client, path, &body, "name").await?;
        let longest = with(body, json!({ "name": "ä".repeat(256) }));
        let created = house.setup().post(path, &longest).await?;
        assert_eq!(created.status, 201, "{path}: {created:?}");
        let place = created.header("location");
        let members = [&["name"], labels(path)].concat();
        for member in members {
            let longer = json!({ member: "ä".repeat(257) });
            let refused = house.client.patch(&place, &longer).await?;
            assert_problem(&refused, ProblemCode::Unacceptable, &place);
            let told = refused.text_at("/errors/0/pointer");
            assert_eq!(told, format!("/{member}"), "{refused:?}");
        }
    }
    for label in ["body_part", "snomed_code", "loinc_code"] {
        let body = json!({ "code": "L", "name": "L", "modality_id": modality });
        refuses_longer(&house.client, "/imaging/procedures", &body, label).await?;
    }
    let profile = json!({ "practitioner_id": fresh(), "allowed_body_parts": ["x".repeat(257)] });
    let profiles = "/radiology/reading-profiles";
    let refused = house.client.post(profiles, &profile).await?;
    assert_problem(&refused, ProblemCode::Unacceptable, "allowed_body_parts");
    let search = format!("/imaging/procedures?search={}", encoded(&"Ä".repeat(128)));
    let found = house.client.get(&search).await?;
    assert_eq!(found.ids().len(), 1, "{found:?}");
    Ok(())
}

async fn refuses_longer(client: &TestClient, path: &str, body: &Value, member: &str) -> Result<()> {
    let longer = with(body.clone(), json!({ "name": "X" }));
    let longer = with(longer, json!({ member: "x".repeat(257) }));
    let refused = client.post(path, &longer).await?;
    assert_problem(&refused, ProblemCode::Unacceptable, path);
    let told = refused.text_at("/errors/0/pointer");
    assert_eq!(told, format!("/{member}"), "{refused:?}");
    Ok(())
}
