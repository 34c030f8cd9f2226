//! Restricts error locations to names of the schema: a member that the schema does not name is chosen by the client and
//! could be PHI.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Member names that the schema defines.
#[derive(Debug)]
pub(super) struct Names<'a>(BTreeSet<&'a str>);

impl<'a> Names<'a> {
    pub(super) fn from_schema(schema: &'a Map<String, Value>) -> Self {
        let mut names = BTreeSet::new();
        collect_members(schema, &mut names);
        Self(names)
    }

    /// Returns the pointer up to the first member that the schema does not name.
    pub(super) fn known_part(&self, data: &Value, pointer: &str) -> String {
        let mut told = String::new();
        let mut at = Some(data);
        for step in pointer.split('/').skip(1) {
            let name = step.replace("~1", "/").replace("~0", "~");
            let is_index = at.is_some_and(Value::is_array);
            if !is_index && !self.0.contains(name.as_str()) {
                break;
            }
            told.push('/');
            told.push_str(step);
            at = at.and_then(|value| value.pointer(&format!("/{step}")));
        }
        told
    }
}

/// Collects all names under `properties`, at any depth.
fn collect_members<'a>(schema: &'a Map<String, Value>, names: &mut BTreeSet<&'a str>) {
    if let Some(Value::Object(properties)) = schema.get("properties") {
        names.extend(properties.keys().map(String::as_str));
    }
    schema.values().for_each(|inner| collect(inner, names));
}

fn collect<'a>(schema: &'a Value, names: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Object(members) => collect_members(members, names),
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
        let names = Names::from_schema(schema.as_object().unwrap());
        for (pointer, told) in [
            ("", ""),
            ("/lesions", "/lesions"),
            ("/lesions/0/a~1b", "/lesions/0/a~1b"),
            ("/lesions/0/Roe/a~1b", "/lesions/0"),
            ("/12345/lesions", ""),
        ] {
            assert_eq!(names.known_part(&data, pointer), told, "{pointer}");
        }
    }
}
