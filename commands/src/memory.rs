//! What JSON takes in memory, in bytes: much more than its text where it consists of many small objects.

use serde_json::{Map, Value};

/// What a node of a `BTreeMap` of JSON members takes: eleven names and values, and its links.
const NODE_BYTES: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 16;
/// How many members a node has as a rule; it has room for eleven.
const MEMBERS_A_NODE: usize = 8;

/// What the fields of a struct take beside the struct.
pub(crate) fn of_fields(fields: &Map<String, Value>) -> usize {
    fields.values().map(of_value).sum()
}

/// What a value takes beside its place.
pub(crate) fn of_value(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => {
            size_of_val(items.as_slice()) + items.iter().map(of_value).sum::<usize>()
        }
        Value::Object(members) => {
            let names = members.keys().map(String::len).sum::<usize>();
            members.len().div_ceil(MEMBERS_A_NODE) * NODE_BYTES + names + of_fields(members)
        }
    }
}
