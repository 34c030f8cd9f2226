//! Reads JSON text without building a tree: the elements of an array are visited one at a time.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Kind of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `null`, `true` or `false`.
    Literal,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// Returns the kind of a value, by its first character.
pub(crate) fn kind(json: &str) -> Kind {
    match json.as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::Text,
        Some(b'-' | b'0'..=b'9') => Kind::Number,
        Some(_) | None => Kind::Literal,
    }
}

/// Returns the characters of a string; `None` if an escape is half of a surrogate pair.
pub(crate) fn text(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Name<'_>>(json)
        .ok()
        .map(|name| name.0)
}

/// Visits the elements of an array until one fails.
pub(crate) fn each_element<'a, E>(
    array: &'a str,
    see: impl FnMut(usize, &'a str) -> Result<(), E>,
) -> Result<(), E> {
    let mut failed = None;
    let elements = Elements {
        see,
        failed: &mut failed,
    };
    // The text is valid JSON, so only a failed element stops the walk.
    let _ = serde_json::Deserializer::from_str(array).deserialize_seq(elements);
    failed.map_or(Ok(()), Err)
}

/// Returns the members of an object in their order; `None` if a name contains half of a surrogate pair.
pub(crate) fn members_in(object: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    serde_json::Deserializer::from_str(object)
        .deserialize_map(MembersIn)
        .ok()
}

/// A name, borrowed from the text if it contains no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

struct Elements<'f, F, E> {
    see: F,
    failed: &'f mut Option<E>,
}

impl<'de, F: FnMut(usize, &'de str) -> Result<(), E>, E> Visitor<'de> for Elements<'_, F, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(element) = array.next_element::<&RawValue>()? {
            if let Err(error) = (self.see)(index, element.get()) {
                *self.failed = Some(error);
                return Err(A::Error::custom("stopped"));
            }
            index += 1;
        }
        Ok(())
    }
}

struct MembersIn;

impl<'de> Visitor<'de> for MembersIn {
    type Value = Vec<(Cow<'de, str>, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            members.push((name, value.get()));
        }
        Ok(members)
    }
}
