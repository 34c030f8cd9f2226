//! JSON values that are stored and passed on as text. Text keeps all digits of a number; a double would not.

mod kept;
mod memory;
mod merge;
mod walk;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use kept::JsonLimitError;
pub(crate) use kept::{can_be_kept, kept_object};
pub use memory::memory_of;
pub(crate) use merge::merge_patch;
pub(crate) use walk::{Kind, each_element, kind, members_in, text};

/// A JSON value as text. Two values are equal if their texts are equal.
///
/// A `Json` cannot be a member of a struct that another struct flattens on deserialisation: serde buffers such members,
/// and their digits are lost. Read such structs from [`Members`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

/// Members of a JSON object by name.
pub type Members = BTreeMap<String, Json>;

impl Json {
    /// Serialises a value to JSON text.
    ///
    /// # Errors
    /// The error of the value's serialisation.
    pub fn from_serializable(value: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// Returns the JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Returns whether the value is `null`.
    pub fn is_null(&self) -> bool {
        self.as_str() == "null"
    }

    /// Returns whether the value is an object.
    pub fn is_object(&self) -> bool {
        self.as_str().starts_with('{')
    }

    /// Deserialises the value.
    ///
    /// # Errors
    /// The error of the deserialiser if the value does not match the schema.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.as_str())
    }
}

/// Returns the members of a value's serialisation; none if it is not an object.
pub fn members_of(value: &impl Serialize) -> Members {
    let members = Json::from_serializable(value).and_then(|object| object.read());
    members.unwrap_or_default()
}

/// Deserialises members to a type, which may contain flattened members.
///
/// # Errors
/// The error of the deserialiser if the members do not match the schema.
pub fn read_members<T: DeserializeOwned>(members: &Members) -> serde_json::Result<T> {
    Json::from_serializable(members)?.read()
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

/// The content is withheld because it may be PHI.
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[json]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = r#"{"a":123456789012345678901234567890,"b":[1.50,1E2,-0.0]}"#;

    #[test]
    fn members_keep_every_digit_from_text_to_text() {
        let members: Members = serde_json::from_str(DIGITS).unwrap();
        assert_eq!(serde_json::to_string(&members).unwrap(), DIGITS);
        assert_eq!(
            serde_json::to_string(&members_of(&members)).unwrap(),
            DIGITS
        );
        assert_eq!(read_members::<Members>(&members).unwrap(), members);
        assert!(members_of(&1).is_empty());
    }

    #[test]
    fn json_never_prints_what_it_says() {
        let json: Json = serde_json::from_str(r#""Roe""#).unwrap();
        assert_eq!(format!("{json:?}"), "[json]");
    }
}
