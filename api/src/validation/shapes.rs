//! Types of members that serde does not have. Each is bounded while it is read.

use std::fmt;
use std::marker::PhantomData;

use roentgen_domain::json::Json;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// JSON object. Derived structs would also accept an array of the members' values, in an order that is not part of the
/// API.
#[derive(Debug)]
pub(crate) struct JsonObject<T>(pub(crate) T);

/// Array of at most `MOST` elements.
#[derive(Debug)]
pub(crate) struct List<T, const MOST: usize>(pub(crate) Vec<T>);

/// Client-defined JSON object as sent; it is not parsed before its bounds are checked.
#[derive(Debug)]
pub(crate) struct FreeObject(Json);

impl FreeObject {
    /// Returns the object.
    pub(crate) const fn json(&self) -> &Json {
        &self.0
    }
}

impl<T, const MOST: usize> Default for List<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Returns the error text for an array with too many elements. serde's error carries it as text.
pub(crate) fn too_many(most: usize) -> String {
    format!("must not have more than {most} elements")
}

/// Returns the maximum number of elements from a [`too_many`] text, or `None` for another text.
pub(crate) fn most_elements(said: &str) -> Option<usize> {
    let rest = said.strip_prefix("must not have more than ")?;
    rest.split(' ').next()?.parse().ok()
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for JsonObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonObjectVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for List<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(OfElements::<T, MOST>(PhantomData))
    }
}

impl<'de> Deserialize<'de> for FreeObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        if json.is_object() {
            Ok(Self(json))
        } else {
            Err(D::Error::custom("no object"))
        }
    }
}

struct JsonObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for JsonObjectVisitor<T> {
    type Value = JsonObject<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JsonObject<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(JsonObject)
    }
}

struct OfElements<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for OfElements<T, MOST> {
    type Value = List<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            if elements.len() == MOST {
                return Err(A::Error::custom(too_many(MOST)));
            }
            elements.push(element);
        }
        Ok(List(elements))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_ends_at_its_bound() {
        let read = |text: &str| serde_json::from_str::<List<u8, 2>>(text);
        assert_eq!(read("[1,2]").unwrap().0, [1, 2]);
        let refused = read("[1,2,3]").unwrap_err().to_string();
        assert_eq!(most_elements(&refused), Some(2));
        assert!(read("1").is_err());
    }

    #[test]
    fn a_free_object_is_kept_as_it_was_sent() {
        let sent = "{\"a\": 1.50}";
        let object: FreeObject = serde_json::from_str(sent).unwrap();
        assert_eq!(object.json().as_str(), sent);
        assert!(serde_json::from_str::<FreeObject>("[1]").is_err());
        assert!(
            serde_json::from_str::<Option<FreeObject>>("null")
                .unwrap()
                .is_none()
        );
    }
}
