//! Bodies that cost as much as possible: each member of each route's body, filled with many values in little text.

use serde_json::Value;

use super::Endpoint;
use crate::openapi;

/// Returns the path of each member of a route's body, and whether the member is an array or an object.
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

/// Returns the schema behind a reference, or behind the alternative of null.
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

/// Returns JSON of about this many bytes.
type Filling = fn(usize) -> String;

/// Arrays and objects, by name.
const COMPOSITES: [(&str, Filling); 13] = [
    ("empty objects", |length| array("{}", length)),
    ("empty arrays", |length| array("[]", length)),
    ("digits", |length| array("0", length)),
    ("empty strings", |length| array("\"\"", length)),
    ("objects of one member", |length| array("{\"\":0}", length)),
    ("many members", many_members),
    ("members of one name", |length| {
        format!("{{{}\"\":0}}", many("\"\":0,", length))
    }),
    ("deep objects", |length| {
        let depth = length / 6;
        format!("{}0{}", "{\"\":".repeat(depth), "}".repeat(depth))
    }),
    ("deep arrays", |length| {
        let depth = length / 2;
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }),
    ("a long member", |length| {
        format!("{{\"{}\":0}}", many("k", length))
    }),
    ("a long string in an object", |length| {
        format!("{{\"a\":\"{}\"}}", many("x", length))
    }),
    ("an escaped string in an object", |length| {
        format!("{{\"a\":\"{}\"}}", many("\\u00e9", length))
    }),
    ("long digits in an object", |length| {
        format!("{{\"a\":{}}}", many("1", length))
    }),
];

/// Strings, by name.
const TEXTS: [(&str, Filling); 2] = [
    ("a long string", |length| {
        format!("\"{}\"", many("x", length))
    }),
    ("an escaped string", |length| {
        format!("\"{}\"", many("\\u00e9", length))
    }),
];

fn many(part: &str, length: usize) -> String {
    part.repeat(length / part.len())
}

fn array(element: &str, length: usize) -> String {
    format!("[{}{element}]", many(&format!("{element},"), length))
}

fn many_members(length: usize) -> String {
    let mut object = "{".to_owned();
    for number in 0.. {
        let member = format!("\"{number:x}\":0,");
        if object.len() + member.len() > length {
            break;
        }
        object.push_str(&member);
    }
    object + "\"z\":0}"
}

/// Returns the worst bodies of a route by name, each of the maximum length: those that contain too much, and those that
/// contain just as much as is accepted.
pub(super) fn bodies(endpoint: &Endpoint) -> Vec<(String, String)> {
    let limits = endpoint.body_limits;
    let whole = (Vec::new(), true);
    let mut bodies = Vec::new();
    for (member, is_composite) in members(endpoint).into_iter().chain([whole]) {
        let composites = COMPOSITES.iter().filter(|_| is_composite);
        let texts = TEXTS.iter().filter(|_| !is_composite || member.is_empty());
        for (name, filling) in composites.chain(texts) {
            let name = format!("{name} in /{}", member.join("/"));
            let body = |length| within(&member, filling(length));
            let room = limits.bytes() - 512;
            let most = most(room, |length| limits.takes(body(length).as_bytes()));
            bodies.extend((most < room).then(|| (format!("too many {name}"), body(room))));
            bodies.push((name, body(most)));
        }
    }
    let padded = bodies
        .into_iter()
        .map(|(name, body)| (name, padded(body, limits.bytes())));
    padded.collect()
}

/// Returns the greatest length up to `room` that fits, provided that all shorter lengths fit.
fn most(room: usize, fits: impl Fn(usize) -> bool) -> usize {
    if fits(room) {
        return room;
    }
    let mut fitting = 0;
    let mut too_long = room;
    while too_long - fitting > 64 {
        let middle = usize::midpoint(fitting, too_long);
        if fits(middle) {
            fitting = middle;
        } else {
            too_long = middle;
        }
    }
    fitting
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
