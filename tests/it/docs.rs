//! `/openapi.json`, `/docs` and `/problems/{code}`: the documentation that the service serves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::Method;
use roentgen_api::problem::ProblemCode;
use roentgen_api::{openapi, routes};
use roentgen_tests::described::violations;
use roentgen_tests::{EngineKind, TestClient, TestResponse};
use serde_json::{Value, json};

use crate::assertions::assert_problem;
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(
    is_open_to_everybody,
    parameters_take_the_values_that_are_described,
    responses_are_compared_with_their_description,
);

async fn is_open_to_everybody(engine: EngineKind) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    let nobody = TestClient::new(&house.server.base);
    let served = nobody.get("/openapi.json").await?;
    assert_eq!(served.json(), serde_json::to_value(openapi::describe())?);
    let page = nobody.get("/docs").await?;
    assert!(
        page.status == 200 && page.header("content-type").starts_with("text/html"),
        "{page:?}"
    );
    assert!(page.text.contains("openapi.json"));
    for code in ProblemCode::ALL {
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
        assert_problem(&nobody.get(unknown).await?, ProblemCode::NotFound, unknown);
    }
    for path in [
        "/docs",
        "/openapi.json",
        "/problems/not_found",
        "/health/ready",
    ] {
        let refused = nobody.send(Method::POST, path, b"{}".to_vec()).await?;
        assert_problem(&refused, ProblemCode::MethodNotAllowed, path);
    }
    Ok(())
}

/// The server names the values of a parameter when it refuses another one.
async fn parameters_take_the_values_that_are_described(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let described = serde_json::to_value(openapi::describe())?;
    let mut seen = 0;
    for endpoint in routes::endpoints(false) {
        let operation = &described["paths"][&endpoint.path][endpoint.method.to_ascii_lowercase()];
        if endpoint.method != "GET" || endpoint.path.contains('{') {
            continue;
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().context("a name")?;
            let Some(mut values) = enum_of(&parameter["schema"], &described) else {
                continue;
            };
            let refused = house
                .client
                .get(&format!("{}?{name}=nonsense", endpoint.path))
                .await?;
            let refused = refused.json();
            let detail = refused["errors"][0]["detail"]
                .as_str()
                .context("an error")?;
            let named = detail.replace("all or one of", "one of all,");
            let named = named.strip_prefix("must be one of ").context("no list")?;
            let mut named: Vec<&str> = named.split(", ").collect();
            values.sort_unstable();
            named.sort_unstable();
            assert_eq!(values, named, "{name} of {}", endpoint.path);
            seen += 1;
        }
    }
    assert!(seen > 8, "{seen} parameters have values");
    Ok(())
}

/// Returns the values of a schema that is an enum, or one of whose alternatives is.
fn enum_of<'a>(schema: &'a Value, described: &'a Value) -> Option<Vec<&'a str>> {
    if let Some(values) = schema["enum"].as_array() {
        return Some(values.iter().filter_map(Value::as_str).collect());
    }
    let referred = schema["$ref"].as_str();
    let referred = referred.and_then(|pointer| described.pointer(pointer.trim_start_matches('#')));
    let alternatives = ["anyOf", "oneOf"].map(|name| schema[name].as_array());
    let mut schemas = referred
        .into_iter()
        .chain(alternatives.into_iter().flatten().flatten());
    schemas.find_map(|schema| enum_of(schema, described))
}

/// Every test client checks its responses so.
async fn responses_are_compared_with_their_description(engine: EngineKind) -> Result<()> {
    let app = TestApp::start(engine).await?;
    let modality = json!({ "code": "OT", "name": "Other" });
    let created = app.client.post("/imaging/modalities", &modality).await?;
    let violations =
        |response: &TestResponse| violations(&Method::POST, "/imaging/modalities", response);
    assert_eq!(violations(&created), [""; 0]);
    let with = |member: &str, value: Value| {
        let mut body = created.json();
        body[member] = value;
        let text = body.to_string();
        violations(&TestResponse {
            text,
            ..created.clone()
        })
    };
    assert_eq!(with("scanner", json!("new")).len(), 1, "an unknown member");
    assert_eq!(with("created_at", json!("today")).len(), 1, "no time");
    assert_eq!(with("description", Value::Null).len(), 1, "null");
    let other = TestResponse {
        status: 202,
        ..created.clone()
    };
    assert_eq!(violations(&other), ["status 202 is not described"]);
    let mut other = created;
    other.headers.insert("content-type", "text/html".parse()?);
    assert_eq!(
        violations(&other),
        ["media type text/html is not described"]
    );
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
    let codes: BTreeSet<String> = ProblemCode::ALL
        .iter()
        .map(|code| code.as_str().to_owned())
        .collect();
    assert_eq!(pages, codes);
    for code in ProblemCode::ALL {
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
        let operation = &described["paths"][&endpoint.path][endpoint.method.to_ascii_lowercase()];
        assert!(operation["responses"].is_object(), "{endpoint:?}");
        found += 1;
    }
    let paths = described["paths"].as_object().map(|object| object.values());
    let operations = paths
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .map(|path| path.len());
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

/// Crates that log, in which the log statements are searched.
const LOGGING: [&str; 6] = ["api", "commands", "domain", "projections", "relay", "store"];
const LEVELS: [&str; 4] = ["ERROR", "WARN", "INFO", "DEBUG"];

/// Level, event name and message of a log statement.
type Logged = (String, String, String);

#[test]
fn logging_page_lists_exactly_the_logged_events() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/logging.md"))?;
    let mut logged = BTreeSet::new();
    for name in LOGGING {
        for path in sources(&root.join(name).join("src"))? {
            logged.extend(messages(&std::fs::read_to_string(path)?)?);
        }
    }
    let listed = listed(&page);
    let missing: Vec<_> = logged.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&logged).collect();
    ensure!(
        missing.is_empty() && stale.is_empty(),
        "docs/logging.md lacks {missing:?}, and has {stale:?} that nothing logs"
    );
    Ok(())
}

fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Returns the log statements of a source file.
fn messages(source: &str) -> Result<Vec<Logged>> {
    let mut found = Vec::new();
    for level in LEVELS {
        let opening = format!("tracing::{}!(", level.to_ascii_lowercase());
        for rest in source.split(&opening).skip(1) {
            let unnamed = || format!("no event name: {rest:.80}");
            let [event, .., message] = &texts(rest)[..] else {
                bail!(unnamed());
            };
            ensure!(rest.trim_start().starts_with("event = "), unnamed());
            found.push((level.to_owned(), event.clone(), message.clone()));
        }
    }
    Ok(found)
}

/// Returns the string literals among the arguments of a macro whose opening parenthesis is before `rest`.
fn texts(rest: &str) -> Vec<String> {
    let mut depth = 1;
    let mut found = Vec::new();
    let mut open = None::<String>;
    for sign in rest.chars() {
        match (sign, &mut open) {
            ('"', Some(_)) => found.extend(open.take()),
            (_, Some(text)) => text.push(sign),
            ('"', None) => open = Some(String::new()),
            ('(', None) => depth += 1,
            (')', None) => depth -= 1,
            (_, None) => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// Returns the first two columns of the page's event tables. The heading of a table is its level.
fn listed(page: &str) -> BTreeSet<Logged> {
    let mut found = BTreeSet::new();
    let mut level = None;
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix('#') {
            let heading = heading.trim_start_matches('#').trim();
            level = LEVELS.into_iter().find(|level| *level == heading);
        }
        let columns: Vec<&str> = line.split(" | ").collect();
        if let (Some(level), [event, message, _]) = (level, &columns[..])
            && let Some(event) = event.strip_prefix("| `")
        {
            let event = event.trim_end_matches('`');
            found.insert((level.to_owned(), event.to_owned(), (*message).to_owned()));
        }
    }
    found
}
