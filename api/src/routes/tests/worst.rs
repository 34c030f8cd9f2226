//! Bodies that are made to cost as much as they can: each member of each route's body, filled with what is many in little
//! text.

use serde_json::Value;

use super::Endpoint;
use crate::openapi;

/// The members of a route's body, each as deep as it stands, with whether it is an array or an object.
fn members(endpoint: &Endpoint) -> Vec<(Vec<String>, bool)> {
    let api = serde_json::to_value(openapi::describe()).unwrap();
    let operation = serde_json::to_value(&endpoint.operation).unwrap();
    let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    gather(&api, schema, &mut Vec::new(), &mut found);
    found
}

fn gather(api: &Value, schema: &Value, at: &mut Vec<String>, found: &mut Vec<(Vec<String>, bool)>) {
    let schema = resolved(api, schema);
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        at.push(name.clone());
        let property = resolved(api, property);
        found.push((at.clone(), is_composite(property)));
        gather(api, property, at, found);
        if let Some(items) = property.get("items") {
            at.push("[]".to_owned());
            gather(api, items, at, found);
            at.pop();
        }
        at.pop();
    }
}

/// The schema itself, behind a reference or behind what says that it may be null.
fn resolved<'a>(api: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return api.pointer(reference.trim_start_matches('#')).unwrap();
    }
    let either = schema.get("oneOf").and_then(Value::as_array);
    let other = either.and_then(|either| either.iter().find(|one| one["type"] != "null"));
    other.map_or(schema, |other| resolved(api, other))
}

fn is_composite(schema: &Value) -> bool {
    let scalars = ["string", "integer", "number", "boolean", "null"];
    let is_scalar = |kind: &Value| kind.as_str().is_some_and(|kind| scalars.contains(&kind));
    match schema.get("type") {
        Some(Value::Array(kinds)) => !kinds.iter().all(is_scalar),
        Some(kind) => !is_scalar(kind),
        None => true,
    }
}

/// JSON of about so many bytes, by name.
fn fillings(length: usize) -> Vec<(&'static str, String)> {
    let many = |part: &str| part.repeat(length / part.len());
    let array = |part: &str| format!("[{}{}]", many(&format!("{part},")), part);
    let named: String = (0..)
        .map(|number: usize| format!("\"{number:x}\":0,"))
        .scan(0, |sum, member| {
            *sum += member.len();
            (*sum < length).then_some(member)
        })
        .collect();
    let deep = length / 6;
    vec![
        ("empty objects", array("{}")),
        ("empty arrays", array("[]")),
        ("digits", array("0")),
        ("empty strings", array("\"\"")),
        ("objects of one member", array("{\"\":0}")),
        ("many members", format!("{{{named}\"z\":0}}")),
        (
            "members of one name",
            format!("{{{}\"\":0}}", many("\"\":0,")),
        ),
        (
            "deep objects",
            format!("{}0{}", "{\"\":".repeat(deep), "}".repeat(deep)),
        ),
        (
            "deep arrays",
            format!("{}{}", "[".repeat(length / 2), "]".repeat(length / 2)),
        ),
        ("a long member", format!("{{\"{}\":0}}", "k".repeat(length))),
        (
            "a long string in an object",
            format!("{{\"a\":\"{}\"}}", many("x")),
        ),
        (
            "an escaped string in an object",
            format!("{{\"a\":\"{}\"}}", many("\\u00e9")),
        ),
        (
            "long digits in an object",
            format!("{{\"a\":{}}}", many("1")),
        ),
    ]
}

/// JSON texts of about so many bytes, by name.
fn texts(length: usize) -> Vec<(&'static str, String)> {
    vec![
        ("a long string", format!("\"{}\"", "x".repeat(length))),
        (
            "an escaped string",
            format!("\"{}\"", "\\u00e9".repeat(length / 6)),
        ),
    ]
}

/// The worst bodies of a route, exactly so long, by name.
pub(super) fn bodies(endpoint: &Endpoint, length: usize) -> Vec<(String, String)> {
    let room = length - 512;
    let mut bodies = Vec::new();
    for (name, filling) in fillings(room).into_iter().chain(texts(room)) {
        bodies.push((format!("{name} as the body"), filling));
    }
    for (member, is_composite) in members(endpoint) {
        let fillings = if is_composite {
            fillings(room)
        } else {
            texts(room)
        };
        for (name, filling) in fillings {
            bodies.push((
                format!("{name} in {}", member.join("/")),
                within(&member, filling),
            ));
        }
    }
    let padded = bodies
        .into_iter()
        .map(|(name, body)| (name, padded(body, length)));
    padded.collect()
}

fn within(member: &[String], filling: String) -> String {
    member
        .iter()
        .rev()
        .fold(filling, |inner, step| match step.as_str() {
            "[]" => format!("[{inner}]"),
            name => format!("{{\"{name}\":{inner}}}"),
        })
}

fn padded(mut body: String, length: usize) -> String {
    body.extend(std::iter::repeat_n(' ', length - body.len()));
    body
}
