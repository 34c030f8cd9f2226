//! Classification of JSON Schema keywords: draft 2020-12, and those of earlier drafts that the validator still accepts.

use roentgen_domain::json::memory_of;
use serde_json::{Map, Value};

use super::super::extent::ValueSize;
use super::super::plan::{Application, Node};
use super::{AppliedPatterns, refused};
use crate::error::Violation;

/// Relation of a subschema to the schema that contains it.
#[derive(Debug)]
pub(super) enum Role {
    /// Not applied, unless a reference points to it.
    Unused,
    /// Applied to the same value.
    Here(Application),
    /// Applied to the same value, as a condition of other subschemas or together with one.
    Condition(Application),
    /// Applied to the member of this name.
    Property(String),
    /// Applied to members.
    Member,
    /// Applied to member names.
    Names,
    /// Applied to the item at the same index.
    Prefix,
    /// Applied to items.
    Item(Application),
}

impl Role {
    pub(super) const fn is_here(&self) -> bool {
        matches!(self, Self::Here(_) | Self::Condition(_))
    }

    pub(super) const fn is_condition(&self) -> bool {
        matches!(self, Self::Condition(_))
    }
}

/// Subschema of a schema.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) role: Role,
    /// JSON Pointer to the subschema.
    pub(super) place: String,
    pub(super) schema: &'a Value,
}

/// Keywords that are not supported: they define names for schemas, or their meaning depends on the evaluation path.
const UNSUPPORTED_KEYWORDS: [&str; 5] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveAnchor",
    "$recursiveRef",
];
/// Only accepted value of `$schema`.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Cost of a division by `multipleOf`, in steps: numbers beyond 128 bits are divided as fractions of arbitrary length.
const DIVISION_STEPS: usize = 200;
/// Keywords whose values are compared one by one with the instance.
const COMPARED: [&str; 6] = [
    "const",
    "dependencies",
    "dependentRequired",
    "enum",
    "required",
    "type",
];

pub(super) fn check_keywords(pointer: &str, members: &Map<String, Value>) -> Result<(), Violation> {
    for keyword in UNSUPPORTED_KEYWORDS {
        if members.contains_key(keyword) {
            let at = format!("{pointer}/{keyword}");
            return Err(refused(
                &at,
                "unsupported keyword; use a JSON pointer reference (#/...)",
            ));
        }
    }
    if !pointer.is_empty() && members.contains_key("$id") {
        let at = format!("{pointer}/$id");
        return Err(refused(&at, "allowed at the root only"));
    }
    let draft = members.get("$schema").map(Value::as_str);
    let is_draft = |said: Option<&str>| said.map(|said| said.trim_end_matches('#')) == Some(DRAFT);
    if draft.is_some_and(|said| !is_draft(said)) {
        let at = format!("{pointer}/$schema");
        return Err(refused(&at, "must be draft 2020-12"));
    }
    Ok(())
}

/// Returns the role of a subschema that is the keyword's value.
fn role_of_one(keyword: &str) -> Option<Role> {
    match keyword {
        "additionalItems" | "items" | "unevaluatedItems" => Some(Role::Item(Application::Applied)),
        "additionalProperties" | "unevaluatedProperties" => Some(Role::Member),
        "contains" => Some(Role::Item(Application::Tried)),
        "contentSchema" => Some(Role::Unused),
        "else" | "then" => Some(Role::Here(Application::Applied)),
        "if" => Some(Role::Condition(Application::Tried)),
        "not" => Some(Role::Here(Application::Tried)),
        "propertyNames" => Some(Role::Names),
        _ => None,
    }
}

/// Returns the role of each subschema in the array that is the keyword's value.
fn role_in_list(keyword: &str) -> Option<Role> {
    match keyword {
        "allOf" => Some(Role::Here(Application::Applied)),
        "anyOf" | "oneOf" => Some(Role::Here(Application::Branch)),
        "prefixItems" => Some(Role::Prefix),
        _ => None,
    }
}

/// Returns the role of the subschema of this name in the object that is the keyword's value.
fn role_by_name(keyword: &str, name: &str) -> Option<Role> {
    match keyword {
        "$defs" | "definitions" => Some(Role::Unused),
        "dependencies" | "dependentSchemas" => Some(Role::Condition(Application::Applied)),
        "patternProperties" => Some(Role::Member),
        "properties" => Some(Role::Property(name.to_owned())),
        _ => None,
    }
}

/// Returns the direct subschemas of a schema, with their pointers.
pub(super) fn parts<'a>(pointer: &str, members: &'a Map<String, Value>) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    for (keyword, value) in members {
        if let Some(role) = role_of_one(keyword) {
            let place = format!("{pointer}/{keyword}");
            let schema = value;
            parts.push(Part {
                role,
                place,
                schema,
            });
        }
        for (at, schema) in value.as_array().into_iter().flatten().enumerate() {
            let place = || format!("{pointer}/{keyword}/{at}");
            parts.extend(role_in_list(keyword).map(|role| Part {
                role,
                place: place(),
                schema,
            }));
        }
        for (name, schema) in value.as_object().into_iter().flatten() {
            let name_in_pointer = || name.replace('~', "~0").replace('/', "~1");
            let place = || format!("{pointer}/{keyword}/{}", name_in_pointer());
            let role = role_by_name(keyword, name);
            parts.extend(role.map(|role| Part {
                role,
                place: place(),
                schema,
            }));
        }
    }
    parts
}

/// Returns the memory of the values of a schema that are not schemas, in bytes.
pub(super) fn bytes_of_values(members: &Map<String, Value>) -> usize {
    let holds_schemas = |keyword: &str| {
        role_of_one(keyword).is_some()
            || role_in_list(keyword).is_some()
            || role_by_name(keyword, "").is_some()
    };
    let values = members
        .iter()
        .filter(|(keyword, _)| !holds_schemas(keyword));
    values.map(|(_, value)| memory_of(value)).sum()
}

/// Returns the patterns of a schema, without those of its subschemas.
pub(super) fn patterns(members: &Map<String, Value>) -> AppliedPatterns<'_> {
    let of_names = members.get("patternProperties").and_then(Value::as_object);
    let of_names = of_names.into_iter().flat_map(Map::keys);
    AppliedPatterns {
        own: members.get("pattern").and_then(Value::as_str),
        of_names: of_names.map(String::as_str).collect(),
    }
}

/// Returns the node for the keywords of a schema, without its subschemas.
pub(super) fn own(members: &Map<String, Value>) -> Node {
    let compared = COMPARED.iter().filter_map(|keyword| members.get(*keyword));
    let compared: usize = compared.map(|value| ValueSize::measure(value).values).sum();
    let named = members.get("properties").and_then(Value::as_object);
    let required = members.get("required").and_then(Value::as_array);
    let keywords = members.len() + required.map_or(0, Vec::len);
    let divides = members.get("multipleOf").map_or(0, |_| DIVISION_STEPS);
    Node {
        own: (1 + members.len() + compared + named.map_or(0, Map::len) + divides) as u64,
        errors: keywords as u64,
        compares_items: members
            .get("uniqueItems")
            .is_some_and(|value| value == true),
        ..Node::default()
    }
}

pub(super) fn asks_what_was_not_evaluated(members: &Map<String, Value>) -> bool {
    members.contains_key("unevaluatedItems") || members.contains_key("unevaluatedProperties")
}
