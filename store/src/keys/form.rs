//! The header of a sealed part: the id of its key, and in form 2 the names of its members.
//!
//! Form 1 is `1`, key id (16 bytes). Form 2 is `2`, key id (16 bytes), length of the names (be16), the names, joined by
//! commas. The names are those of the top-level members: they show without the key which earlier parts a part replaces.
//! The names are authenticated as associated data of the ciphertext. They come from this program's types; a part with
//! any other name (see [`is_plain`]) gets form 1.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use uuid::Uuid;

const UNNAMED: u8 = 1;
const NAMED: u8 = 2;
const MAX_NAME_BYTES: usize = 64;
const MAX_NAMES: usize = 64;

/// The header of a sealed part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) key_id: Uuid,
    /// Names of the members; `None` in form 1.
    pub(super) members: Option<BTreeSet<String>>,
}

impl Header {
    /// Creates the header of a part with this JSON object.
    pub(super) fn new(key_id: Uuid, phi: &[u8]) -> Self {
        let names: Option<Names> = serde_json::from_slice(phi).ok();
        let members = names.map(|Names(members)| members);
        let members = members.filter(|members| {
            members.len() <= MAX_NAMES && members.iter().all(|name| is_plain(name))
        });
        Self { key_id, members }
    }

    /// Parses the header. Returns it with the bytes that follow it.
    pub(super) fn parse(sealed: &[u8]) -> Option<(Self, &[u8])> {
        let (form, rest) = sealed.split_first()?;
        let (key_id, rest) = rest.split_first_chunk::<16>()?;
        let key_id = Uuid::from_bytes(*key_id);
        if *form == UNNAMED {
            let members = None;
            return Some((Self { key_id, members }, rest));
        }
        if *form != NAMED {
            return None;
        }
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (names, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let names = str::from_utf8(names).ok()?;
        let members = names.split(',').filter(|name| !name.is_empty());
        let members = Some(members.map(str::to_owned).collect());
        Some((Self { key_id, members }, rest))
    }

    /// Encodes the header for storage.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let key_id = self.key_id.as_bytes().as_slice();
        match &self.members {
            None => [&[UNNAMED], key_id].concat(),
            Some(members) => {
                let names = joined(members);
                let length = u16::try_from(names.len()).unwrap_or_default();
                [&[NAMED], key_id, &length.to_be_bytes(), names.as_bytes()].concat()
            }
        }
    }

    /// Returns the header's share of the associated data: the names in form 2, nothing in form 1.
    pub(super) fn context(&self) -> Vec<u8> {
        let names = self.members.as_ref().map(joined);
        names.map(String::into_bytes).unwrap_or_default()
    }
}

fn joined(members: &BTreeSet<String>) -> String {
    let names: Vec<&str> = members.iter().map(String::as_str).collect();
    names.join(",")
}

/// Returns whether a name has the form of the names in this program's types.
fn is_plain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_letter)
}

/// The names of an object's members; the values are skipped.
struct Names(BTreeSet<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            names.insert(name);
        }
        Ok(Names(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_id() -> Uuid {
        Uuid::from_u128(7)
    }

    fn members(header: &Header) -> Option<Vec<&str>> {
        let members = header.members.as_ref()?;
        Some(members.iter().map(String::as_str).collect())
    }

    #[test]
    fn names_are_those_of_the_top_level_only() {
        let header = Header::new(key_id(), br#"{"metadata":{"secret":1},"indication":"x"}"#);
        assert_eq!(members(&header), Some(vec!["indication", "metadata"]));
    }

    #[test]
    fn a_name_that_no_type_here_has_is_not_shown() {
        for phi in [
            r#"{"Jane Roe":1}"#,
            r#"{"a,b":1}"#,
            r#"{"":1}"#,
            r#"{"mrn1":1}"#,
            r#"["a"]"#,
            "no JSON",
        ] {
            let header = Header::new(key_id(), phi.as_bytes());
            assert_eq!(members(&header), None, "{phi}");
            assert_eq!(header.to_bytes().first(), Some(&UNNAMED), "{phi}");
        }
    }

    #[test]
    fn a_header_survives_storage() {
        for phi in ["{}", r#"{"b":1,"a":2}"#, "no JSON"] {
            let header = Header::new(key_id(), phi.as_bytes());
            let stored = [header.to_bytes(), b"rest".to_vec()].concat();
            assert_eq!(Header::parse(&stored), Some((header, b"rest".as_slice())));
        }
        assert_eq!(Header::parse(&[3; 40]), None);
        assert_eq!(Header::parse(&[NAMED; 18]), None);
    }
}
