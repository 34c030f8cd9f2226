//! Integers of request bodies. JSON does not tell `5` from `5.0`, and JSON Schema takes both for an integer.

use roentgen_domain::Change;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Number;

/// Greatest integer up to which a double represents every integer exactly (2^53).
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Deserialises an optional integer.
pub(crate) fn optional_integer<'de, D: Deserializer<'de>>(
    member: D,
) -> Result<Option<i64>, D::Error> {
    let number = Option::<Number>::deserialize(member)?;
    let integer = |number| integer(&number).ok_or_else(|| D::Error::custom("no integer"));
    number.map(integer).transpose()
}

/// Deserialises a change of an optional integer.
pub(crate) fn integer_change<'de, D: Deserializer<'de>>(
    member: D,
) -> Result<Change<i64>, D::Error> {
    let number = optional_integer(member)?;
    Ok(number.map_or(Change::Clear, Change::Set))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "no fraction, and within 2^53"
)]
fn integer(number: &Number) -> Option<i64> {
    let whole = |number: &f64| number.fract() == 0.0 && number.abs() <= EXACT;
    let double = || number.as_f64().filter(whole).map(|number| number as i64);
    number.as_i64().or_else(double)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "optional_integer")]
        optional: Option<i64>,
        #[serde(default, deserialize_with = "integer_change")]
        change: Change<i64>,
    }

    fn read(body: &str) -> Option<Body> {
        serde_json::from_str(body).ok()
    }

    fn body(optional: Option<i64>, change: Change<i64>) -> Option<Body> {
        Some(Body { optional, change })
    }

    #[test]
    fn integer_may_have_a_fraction_of_zero() {
        let read_5 = body(Some(5), Change::Set(-5));
        assert_eq!(read(r#"{"optional": 5, "change": -5}"#), read_5);
        assert_eq!(read(r#"{"optional": 5.0, "change": -5e0}"#), read_5);
        assert_eq!(read(r#"{"change": null}"#), body(None, Change::Clear));
        assert_eq!(read("{}"), body(None, Change::Keep));
        for bad in ["5.5", "1e300", "\"5\"", "true", "9223372036854775808"] {
            assert_eq!(read(&format!(r#"{{"optional": {bad}}}"#)), None, "{bad}");
            assert_eq!(read(&format!(r#"{{"change": {bad}}}"#)), None, "{bad}");
        }
    }
}
