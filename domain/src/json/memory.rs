//! Memory estimates of JSON trees, which need much more than their text if they consist of many small objects.

use serde_json::Value;

/// Size of a `BTreeMap` node of JSON members in bytes: 11 names and values, and links.
const NODE_BYTES: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 16;
/// Typical number of members per node; a node has room for 11.
const MEMBERS_A_NODE: usize = 8;

/// Returns the heap size of a value in bytes.
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
