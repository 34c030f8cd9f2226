//! Canonical JSON (RFC 8785, JCS): programs that serialise equal content sign equal bytes.
//!
//! No white space; members ordered by the UTF-16 code units of their names; strings with the shortest escapes (`\"`,
//! `\\`, `\b`, `\t`, `\n`, `\f`, `\r`, `\u00xx` for other control characters, everything else as it is); numbers as
//! ECMAScript prints them (`1`, `1.5`, `1e+21`, `1e-7`). One difference: a number whose value changes in a round trip
//! through a double keeps its digits as sent, whereas RFC 8785 would round it to a double first.

use std::convert::Infallible;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::json::{Json, Kind, each_element, kind, members_in, text};

/// A SHA-256 of canonical JSON, as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentDigest(String);

impl ContentDigest {
    /// Computes the digest of the canonical form of a value.
    pub fn compute(value: &impl Serialize) -> Self {
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(canonicalize(value).as_bytes()) {
            let _ = write!(hex, "{byte:02x}");
        }
        Self(hex)
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns the canonical form of a value's serialisation.
pub fn canonicalize(value: &impl Serialize) -> String {
    let mut text = String::new();
    if let Ok(json) = Json::from_serializable(value) {
        write_value(&mut text, json.as_str());
    }
    text
}

fn write_value(out: &mut String, json: &str) {
    match kind(json) {
        Kind::Literal => out.push_str(json),
        Kind::Number => write_number(out, json),
        Kind::Text => write_string(out, &text(json).unwrap_or_default()),
        Kind::Array => write_array(out, json),
        Kind::Object => write_object(out, json),
    }
}

fn write_array(out: &mut String, array: &str) {
    out.push('[');
    let written: Result<(), Infallible> = each_element(array, |place, element| {
        if place > 0 {
            out.push(',');
        }
        write_value(out, element);
        Ok(())
    });
    let Ok(()) = written;
    out.push(']');
}

fn write_object(out: &mut String, object: &str) {
    let mut sorted = members_in(object).unwrap_or_default();
    sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push('{');
    for (place, (name, value)) in sorted.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write_string(out, &name);
        out.push(':');
        write_value(out, value);
    }
    out.push('}');
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

fn write_number(out: &mut String, number: &str) {
    let float = number.parse().ok().filter(|float: &f64| float.is_finite());
    match float {
        Some(float) if decimal(number) == decimal(&shortest(float)) => write_float(out, float),
        Some(_) | None => out.push_str(number),
    }
}

/// Returns the significant digits of a number and the power of ten that they are multiplied by: two numbers without
/// sign are equal if these pairs are equal. `None` if the power is out of range.
fn decimal(number: &str) -> Option<(String, i64)> {
    let (mantissa, power) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{part}", whole.trim_start_matches('-'));
    let stripped = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - stripped.len()).ok()?;
    let power: i64 = power.parse().ok()?;
    let power = power - i64::try_from(part.len()).ok()? + zeros;
    let significant = stripped.trim_start_matches('0');
    let power = if significant.is_empty() { 0 } else { power };
    Some((significant.to_owned(), power))
}

/// Returns the shortest digits that read back as the same double; of two that are equally close, the even one, as
/// ECMA-262 has it. The standard library takes the larger one.
fn shortest(float: f64) -> String {
    let number = serde_json::Number::from_f64(float);
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// Writes the shortest digits of a double, and places the point (ECMA-262, `Number::toString`).
fn write_float(out: &mut String, float: f64) {
    let (digits, power) = decimal(&shortest(float.abs())).unwrap_or_default();
    if digits.is_empty() {
        out.push('0');
        return;
    }
    if float < 0.0 {
        out.push('-');
    }
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let point = count + i32::try_from(power).unwrap_or(0);
    let exponent = point - 1;
    let zeros = |many: i32| "0".repeat(usize::try_from(many).unwrap_or(0));
    let whole = usize::try_from(point).unwrap_or(0);
    let _ = if (count..=21).contains(&point) {
        write!(out, "{digits}{}", zeros(point - count))
    } else if let (1..=21, Some((whole, part))) = (point, digits.split_at_checked(whole)) {
        write!(out, "{whole}.{part}")
    } else if (-5..=0).contains(&point) {
        write!(out, "0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, ""));
        let dot = if rest.is_empty() { "" } else { "." };
        write!(out, "{first}{dot}{rest}e{exponent:+}")
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn prints_numbers_as_ecmascript_does() {
        for (number, printed) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (333_333_333.333_333_3, "333333333.3333333"),
            (1e30, "1e+30"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (4.5, "4.5"),
            (0.002, "0.002"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-27, "1.5e-27"),
            (1_863_861_457_314_835.2, "1863861457314835.2"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        ] {
            assert_eq!(canonicalize(&json!(number)), printed);
        }
        assert_eq!(canonicalize(&json!(u64::MAX)), "18446744073709551615");
        assert_eq!(canonicalize(&json!(-7)), "-7");
    }

    #[test]
    fn number_that_no_double_is_equal_to_keeps_its_digits() {
        for (sent, printed) in [
            ("1.50", "1.5"),
            ("15e-1", "1.5"),
            ("-0", "0"),
            ("0.000", "0"),
            ("100", "100"),
            ("1E+30", "1e+30"),
            ("1000000000000000000000000000000", "1e+30"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
            ("0.1234567890123456789012345", "0.1234567890123456789012345"),
            ("-9007199254740993", "-9007199254740993"),
        ] {
            let number: Json = serde_json::from_str(sent).unwrap();
            assert_eq!(canonicalize(&number), printed, "{sent}");
        }
    }

    /// RFC 8785, section 3.2.3.
    #[test]
    fn orders_members_by_utf_16_code_units() {
        let members = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        assert_eq!(
            canonicalize(&members),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn escapes_no_more_than_it_must() {
        let text = json!({"a": ["\u{8}\t\n\u{c}\r\u{f}\"\\/\u{e9}\u{7f}", null, true, {}]});
        assert_eq!(
            canonicalize(&text),
            "{\"a\":[\"\\b\\t\\n\\f\\r\\u000f\\\"\\\\/\u{e9}\u{7f}\",null,true,{}]}"
        );
    }

    #[test]
    fn a_fingerprint_is_the_sha_256_of_that() {
        assert_eq!(
            ContentDigest::compute(&json!({})).to_string(),
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }

    proptest! {
        /// Content signed before numbers were stored as text contains only these types of numbers.
        #[test]
        fn integers_of_64_bits_and_doubles_are_signed_as_ever(
            signed in any::<i64>(),
            unsigned in any::<u64>(),
            float in any::<f64>().prop_filter("JSON has no other", |float| float.is_finite()),
        ) {
            prop_assert_eq!(canonicalize(&signed), signed.to_string());
            prop_assert_eq!(canonicalize(&unsigned), unsigned.to_string());
            let mut printed = String::new();
            write_float(&mut printed, float);
            prop_assert_eq!(canonicalize(&float), printed);
        }
    }
}
