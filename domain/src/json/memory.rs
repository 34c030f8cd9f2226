//! What a tree of JSON takes in memory: much more than its text where it consists of many small objects.

use serde_json::Value;

/// What a node of a `BTreeMap` of JSON members takes: eleven names and values, and its links.
const NODE_BYTES: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 16;
/// How many members a node has as a rule; it has room for eleven.
const MEMBERS_A_NODE: usize = 8;

/// What a value takes on the heap, in bytes.
pub fn memory_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => {
            size_of_val(items.as_slice()) + items.iter().map(memory_of).sum::<usize>()
        }
        Value::Object(members) => {
            let names = members.keys().map(String::len).sum::<usize>();
            let values = members.values().map(memory_of).sum::<usize>();
            members.len().div_ceil(MEMBERS_A_NODE) * NODE_BYTES + names + values
        }
    }
}
