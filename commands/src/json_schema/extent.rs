//! How large a JSON value is: how many values it consists of, and how long the pointers are that lead to them. Whatever
//! is said about a value spells its pointer out, so that a long name over many values is written many times.

use serde_json::Value;

/// The size of a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ValueSize {
    /// How many values there are, itself included.
    pub(super) values: usize,
    /// How long their pointers (RFC 6901) are together, in bytes, without escapes.
    pub(super) pointers: usize,
    /// How long the longest of them is.
    pub(super) longest: usize,
}

impl ValueSize {
    pub(super) fn measure(value: &Value) -> Self {
        let mut extent = Self::default();
        extent.add(value, 0);
        extent
    }

    fn add(&mut self, value: &Value, pointer: usize) {
        self.values += 1;
        self.pointers += pointer;
        self.longest = self.longest.max(pointer);
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            Value::Array(items) => {
                let digits = items.len().to_string().len();
                for item in items {
                    self.add(item, pointer + 1 + digits);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    self.add(member, pointer + 1 + name.len());
                }
            }
        }
    }
}
