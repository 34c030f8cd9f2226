//! Optional ids. A blank text counts as absent, as for any other optional text.

use roentgen_domain::Change;
use serde::de::{Deserialize, Deserializer, Error as _};
use uuid::Uuid;

use super::is_blank;

/// Deserialises an optional id.
pub(crate) fn optional_id<'de, D: Deserializer<'de>>(member: D) -> Result<Option<Uuid>, D::Error> {
    id_change(member).map(Change::value)
}

/// Deserialises a change of an optional id.
pub(crate) fn id_change<'de, D: Deserializer<'de>>(member: D) -> Result<Change<Uuid>, D::Error> {
    match Option::<String>::deserialize(member)? {
        Some(text) if !is_blank(&text) => text.parse().map(Change::Set).map_err(D::Error::custom),
        Some(_) | None => Ok(Change::Clear),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "optional_id")]
        optional: Option<Uuid>,
        #[serde(default, deserialize_with = "id_change")]
        change: Change<Uuid>,
    }

    fn read(json: &str) -> serde_json::Result<Body> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_blank_id_is_none_and_takes_one_away() {
        let none = |change| Body {
            optional: None,
            change,
        };
        for blank in ["null", r#""""#, r#"" \t""#] {
            let body = format!(r#"{{"optional":{blank},"change":{blank}}}"#);
            assert_eq!(read(&body).unwrap(), none(Change::Clear), "{blank}");
        }
        assert_eq!(read("{}").unwrap(), none(Change::Keep));
    }

    #[test]
    fn an_id_is_a_uuid_and_nothing_else() {
        let id = Uuid::from_u128(7);
        let body = read(&format!(r#"{{"optional":"{id}","change":"{id}"}}"#)).unwrap();
        assert_eq!((body.optional, body.change), (Some(id), Change::Set(id)));
        for wrong in ["7", r#""x""#, "{}"] {
            assert!(read(&format!(r#"{{"optional":{wrong}}}"#)).is_err());
            assert!(read(&format!(r#"{{"change":{wrong}}}"#)).is_err());
        }
    }
}
