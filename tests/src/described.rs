//! Checks each response that a test receives against the OpenAPI document of the API.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a member that a JSON value lacks is null, and a document that is broken fails each test"
)]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::TestResponse;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| strict(serde_json::to_value(roentgen_api::openapi::describe()).unwrap()));

/// Statuses that are answered before a request has a route: a page of another site, a foreign host, a head that is too
/// large, a method that the server does not have.
const BEFORE_ROUTING: [u16; 4] = [403, 421, 431, 501];

/// Validators by their schema; each is compiled when a response needs it first.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Checks a response.
///
/// # Panics
///
/// If the response has [`violations`].
pub(crate) fn check(method: &Method, path: &str, response: &TestResponse) {
    let violations = violations(method, path, response);
    let status = response.status;
    assert!(
        violations.is_empty(),
        "{method} {path} {status}: {violations:#?}"
    );
}

/// Returns how a response differs from the description of its operation, if there is one: a status that is not
/// described, or a media type, a member that the schema of the body does not have, or a value that the schema does not
/// allow.
pub fn violations(method: &Method, path: &str, response: &TestResponse) -> Vec<String> {
    let path = path.split('?').next().unwrap_or_default();
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let Some(template) = template(path) else {
        return Vec::new();
    };
    let operation = &DOCUMENT["paths"][template][method.as_str().to_ascii_lowercase()];
    let Some(responses) = operation["responses"].as_object() else {
        return Vec::new();
    };
    let Some(described) = responses.get(&response.status.to_string()) else {
        if BEFORE_ROUTING.contains(&response.status) {
            return Vec::new();
        }
        return vec![format!("status {} is not described", response.status)];
    };
    let referred = described["$ref"]
        .as_str()
        .map(|uri| uri.trim_start_matches('#'));
    let described = referred
        .and_then(|pointer| DOCUMENT.pointer(pointer))
        .unwrap_or(described);
    let media_type = response.header("content-type");
    let media_type = media_type.split(';').next().unwrap_or_default();
    let Some(content) = described["content"].as_object() else {
        return Vec::new();
    };
    let Some(content) = content.get(media_type) else {
        return vec![format!("media type {media_type} is not described")];
    };
    let schema = &content["schema"];
    if schema.is_null() || !media_type.ends_with("json") {
        return Vec::new();
    }
    let validator = validator(schema);
    let bodies = if media_type == "application/x-ndjson" {
        response.lines()
    } else {
        vec![response.json()]
    };
    let errors = bodies.iter().flat_map(|body| validator.iter_errors(body));
    errors
        .map(|error| format!("{}: {}", error.instance_path(), error.masked()))
        .collect()
}

/// Returns the path of the document that a request path belongs to.
fn template(path: &str) -> Option<&'static str> {
    let paths = DOCUMENT["paths"].as_object()?;
    if let Some((exact, _)) = paths.get_key_value(path) {
        return Some(exact);
    }
    let segments: Vec<&str> = path.split('/').collect();
    let matches = |template: &&String| {
        let names: Vec<&str> = template.split('/').collect();
        names.len() == segments.len()
            && names
                .iter()
                .zip(&segments)
                .all(|(name, segment)| name.starts_with('{') || name == segment)
    };
    paths.keys().find(matches).map(String::as_str)
}

fn validator(schema: &Value) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    let compile = || {
        let schemas = &DOCUMENT["components"]["schemas"];
        let root = json!({ "allOf": [schema], "components": { "schemas": schemas } });
        let options = jsonschema::options().should_validate_formats(true);
        Arc::new(options.build(&root).unwrap())
    };
    Arc::clone(validators.entry(schema.to_string()).or_insert_with(compile))
}

/// Returns the document with objects that have no other members than those they describe.
fn strict(mut document: Value) -> Value {
    let schemas = document.pointer_mut("/components/schemas");
    let schemas = schemas.and_then(Value::as_object_mut);
    for schema in schemas.into_iter().flat_map(|schemas| schemas.values_mut()) {
        if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
            schema["additionalProperties"] = json!(false);
        }
    }
    document
}
