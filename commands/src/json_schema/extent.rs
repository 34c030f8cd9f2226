//! Size of a JSON value: the number of its values, and the length of the pointers to them. Each error contains the full
//! pointer to its value, so that a long name above many values is repeated many times.

use serde_json::Value;

/// Size of a JSON value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ValueSize {
    /// Number of values, including the value itself.
    pub(super) values: usize,
    /// Total length of their pointers (RFC 6901), in bytes, without escapes.
    pub(super) pointers: usize,
    /// Length of the longest pointer, in bytes.
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
