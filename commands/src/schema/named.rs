//! How much of a place in data a refusal may tell: a member that the schema does not name is the client's own, and could be
//! PHI.

use std::collections::BTreeSet;

use serde_json::Value;

/// The pointer up to the first member that the schema does not name.
pub(super) fn named_part(schema: &Value, data: &Value, pointer: &str) -> String {
    let mut names = BTreeSet::new();
    collect(schema, &mut names);
    let (mut told, mut at) = (String::new(), Some(data));
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        let is_index = at.is_some_and(Value::is_array);
        if !is_index && !names.contains(name.as_str()) {
            break;
        }
        told.push('/');
        told.push_str(step);
        at = at.and_then(|value| value.pointer(&format!("/{step}")));
    }
    told
}

/// Every name under `properties`, at whatever depth.
fn collect<'a>(schema: &'a Value, names: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                names.extend(properties.keys().map(String::as_str));
            }
            members.values().for_each(|inner| collect(inner, names));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_told_up_to_the_first_name_that_is_the_clients() {
        let schema = json!({
            "properties": { "lesions": { "items": { "properties": { "a/b": {} } } } },
            "additionalProperties": { "type": "object" }
        });
        let data =
            json!({ "lesions": [{ "a/b": 1, "Roe": { "a/b": 1 } }], "12345": { "lesions": 1 } });
        for (pointer, told) in [
            ("", ""),
            ("/lesions", "/lesions"),
            ("/lesions/0/a~1b", "/lesions/0/a~1b"),
            ("/lesions/0/Roe/a~1b", "/lesions/0"),
            ("/12345/lesions", ""),
        ] {
            assert_eq!(named_part(&schema, &data, pointer), told, "{pointer}");
        }
    }
}
