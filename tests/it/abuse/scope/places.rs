//! Every place in which a caller can send an id, from the routes and the OpenAPI document.

use std::collections::BTreeSet;

use roentgen_api::{openapi, routes};
use serde_json::Value;

/// Ids that Roentgen does not assign and looks nothing up by, except under the caller's tenant: those of other systems
/// and of practitioners; and the tenant's id, which is compared with the caller's before anything is read.
const NOT_LOOKED_UP: [&str; 12] = [
    "added_by_radiologist_id",
    "assigned_radiologist_id",
    "current_radiologist_id",
    "encounter_id",
    "episode_id",
    "ordering_department_id",
    "ordering_practitioner_id",
    "practitioner_id",
    "radiologist_id",
    "scheduled_slot_id",
    "signed_by_radiologist_id",
    "tenant_id",
];

/// Route, and the name of the id's place in it.
pub(super) type Position = (String, String);

/// Returns every place of an id in the requests of a tenant's callers.
pub(super) fn all() -> BTreeSet<Position> {
    let described = serde_json::to_value(openapi::describe()).unwrap();
    let mut places = BTreeSet::new();
    for endpoint in routes::endpoints(false) {
        let verb = endpoint.method;
        let operation = &described["paths"][&endpoint.path][verb.to_ascii_lowercase()];
        // Open routes have no tenant, and an operator sees every tenant's data.
        if operation["security"].is_null() || endpoint.path.starts_with("/admin/") {
            continue;
        }
        let mut names = in_path(&endpoint.path);
        names.extend(in_query(operation, &described));
        for content in members_of(&operation["requestBody"]["content"]) {
            in_body(&content["schema"], &described, &mut names);
        }
        let route = format!("{verb} {}", endpoint.path);
        let looked_up = names
            .into_iter()
            .filter(|name| !NOT_LOOKED_UP.contains(&name.as_str()));
        places.extend(looked_up.map(|name| (route.clone(), name)));
    }
    places
}

fn in_path(path: &str) -> BTreeSet<String> {
    let steps = path.split('/');
    let names = steps.filter_map(|step| step.strip_prefix('{')?.strip_suffix('}'));
    names.map(str::to_owned).collect()
}

fn in_query(operation: &Value, described: &Value) -> Vec<String> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let ids = parameters
        .filter(|parameter| parameter["in"] == "query" && is_id(&parameter["schema"], described));
    ids.filter_map(|id| id["name"].as_str().map(str::to_owned))
        .collect()
}

/// Returns whether a schema, or one of its alternatives, is that of an id.
fn is_id(schema: &Value, described: &Value) -> bool {
    let referred = schema["$ref"].as_str();
    let referred = referred.and_then(|pointer| described.pointer(pointer.trim_start_matches('#')));
    let alternatives = ["anyOf", "oneOf"].map(|name| schema[name].as_array());
    let mut schemas = referred
        .into_iter()
        .chain(alternatives.into_iter().flatten().flatten());
    schema["format"] == "uuid" || schemas.any(|schema| is_id(schema, described))
}

/// Collects the names of members that are ids, at any depth. Schemas of bodies are not recursive.
fn in_body(schema: &Value, described: &Value, names: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        in_body(described.pointer(pointer).unwrap(), described, names);
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        if is_id(member, described) {
            names.insert(name.clone());
        }
        in_body(member, described, names);
    }
    for parts in ["allOf", "anyOf", "oneOf"] {
        for part in schema[parts].as_array().into_iter().flatten() {
            in_body(part, described, names);
        }
    }
    if schema["items"].is_object() {
        in_body(&schema["items"], described, names);
    }
}

fn members_of(object: &Value) -> impl Iterator<Item = &Value> {
    object
        .as_object()
        .into_iter()
        .flat_map(|object| object.values())
}
