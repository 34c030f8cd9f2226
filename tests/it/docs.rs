//! `/openapi.json`, `/docs` and `/problems/{code}`: what the service says of itself.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use reqwest::Method;
use roentgen_api::problem::Code;
use roentgen_api::{openapi, routes};
use roentgen_tests::{Client, Engine};
use serde_json::Value;

use crate::expect::problem;
use crate::story::{House, on_both_engines};

on_both_engines!(is_open_to_everybody);

async fn is_open_to_everybody(engine: Engine) -> Result<()> {
    let house = House::open_guarded(engine).await?;
    let nobody = Client::new(&house.server.base);
    let served = nobody.get("/openapi.json").await?;
    assert_eq!(served.json(), serde_json::to_value(openapi::describe())?);
    let page = nobody.get("/docs").await?;
    assert!(
        page.status == 200 && page.header("content-type").starts_with("text/html"),
        "{page:?}"
    );
    assert!(page.text.contains("openapi.json"));
    for code in Code::ALL {
        let page = nobody.get(&format!("/problems/{}", code.as_str())).await?;
        assert_eq!((page.status, page.text.as_str()), (200, code.page()));
        assert!(
            page.header("content-type").starts_with("text/markdown"),
            "{page:?}"
        );
    }
    for unknown in [
        "/problems/nonsense",
        "/problems/NOT_FOUND",
        "/problems/%2e%2e%2fREADME",
        "/problems/%ff",
    ] {
        problem(&nobody.get(unknown).await?, Code::NotFound, unknown);
    }
    for path in [
        "/docs",
        "/openapi.json",
        "/problems/not_found",
        "/health/ready",
    ] {
        let refused = nobody.send(Method::POST, path, b"{}".to_vec()).await?;
        problem(&refused, Code::MethodNotAllowed, path);
    }
    Ok(())
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() -> Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/problems");
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        pages.extend(name.strip_suffix(".md").map(str::to_owned));
    }
    let codes: BTreeSet<String> = Code::ALL.iter().map(|it| it.as_str().to_owned()).collect();
    assert_eq!(pages, codes);
    for code in Code::ALL {
        let said = format!("`{}`, status {}", code.as_str(), code.status());
        assert!(code.page().contains(&said), "{said} is not on its page");
    }
    Ok(())
}

#[test]
fn every_route_is_described() -> Result<()> {
    let described = serde_json::to_value(openapi::describe())?;
    let mut found = 0;
    for endpoint in routes::endpoints(false) {
        let operation = &described["paths"][&endpoint.path][endpoint.verb().to_ascii_lowercase()];
        assert!(operation["responses"].is_object(), "{endpoint:?}");
        found += 1;
    }
    let paths = described["paths"].as_object().map(|it| it.values());
    let operations = paths
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .map(|it| it.len());
    assert_eq!(
        operations.sum::<usize>(),
        found,
        "nothing is described that is not served"
    );
    Ok(())
}

#[test]
fn the_description_changes_on_purpose_only() -> Result<()> {
    let mut text = openapi::describe().to_pretty_json()?;
    text.push('\n');
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("openapi", text);
    });
    Ok(())
}
