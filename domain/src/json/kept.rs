//! Normal form of client-defined JSON objects, with bounds: no white space, members sorted by name, the last one of
//! duplicate members, numbers with their digits as sent.

use serde_json::value::RawValue;

use super::Json;
use super::walk::{Kind, each_element, kind, members_in, text};
use crate::text::{self as texts, TextError};

/// Maximum nesting depth of arrays and objects.
const DEEPEST: usize = 120;
/// Maximum number of bytes scanned; each nesting level scans all bytes within it.
const MOST_LOOKED_AT: usize = 8 * 1024 * 1024;

/// Reasons why an object cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonLimitError {
    /// The value is not an object.
    #[error("must be an object")]
    NotAnObject,
    /// The JSON, without white space, exceeds this number of bytes.
    #[error("must not be longer than {} KiB of JSON", .0 / 1024)]
    TooLong(usize),
    /// More than 120 nested arrays and objects; fewer are allowed around a long text.
    #[error(
        "must not hold more than 120 arrays and objects within one another, and fewer around long texts"
    )]
    TooDeep,
    /// A number beyond the range of a double: many readers parse it as infinity.
    #[error("must not hold a number beyond 1.8e308")]
    OutOfRange,
    /// Half of a surrogate pair, which is not a character.
    #[error("must not hold a lone surrogate")]
    LoneSurrogate,
    /// A name or text that cannot be stored.
    #[error(transparent)]
    Text(#[from] TextError),
}

/// Returns the normal form of an object, of at most `most_bytes`.
pub(crate) fn kept_object(object: &Json, most_bytes: usize) -> Result<Json, JsonLimitError> {
    if !object.is_object() {
        return Err(JsonLimitError::NotAnObject);
    }
    let mut writer = Writer::new(most_bytes);
    writer.value(object.as_str())?;
    let json = RawValue::from_string(writer.out).map_err(|_| JsonLimitError::NotAnObject)?;
    Ok(Json(json))
}

/// Returns whether a part of an object can be stored.
pub(crate) fn can_be_kept(json: &str, most_bytes: usize) -> bool {
    Writer::new(most_bytes).value(json).is_ok()
}

struct Writer {
    out: String,
    most_bytes: usize,
    depth: usize,
    looked_at: usize,
}

impl Writer {
    fn new(most_bytes: usize) -> Self {
        Self {
            out: String::new(),
            most_bytes,
            depth: 0,
            looked_at: 0,
        }
    }

    fn value(&mut self, json: &str) -> Result<(), JsonLimitError> {
        match kind(json) {
            Kind::Literal => self.push(json),
            Kind::Number => self.number(json),
            Kind::Text => self.string(&text(json).ok_or(JsonLimitError::LoneSurrogate)?),
            Kind::Array => self.nested(json, Self::array),
            Kind::Object => self.nested(json, Self::object),
        }
    }

    fn nested(
        &mut self,
        json: &str,
        write: fn(&mut Self, &str) -> Result<(), JsonLimitError>,
    ) -> Result<(), JsonLimitError> {
        self.depth += 1;
        self.looked_at += json.len();
        if self.depth > DEEPEST || self.looked_at > MOST_LOOKED_AT {
            return Err(JsonLimitError::TooDeep);
        }
        write(self, json)?;
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self, array: &str) -> Result<(), JsonLimitError> {
        self.push("[")?;
        each_element(array, |index, element| {
            if index > 0 {
                self.push(",")?;
            }
            self.value(element)
        })?;
        self.push("]")
    }

    fn object(&mut self, object: &str) -> Result<(), JsonLimitError> {
        let mut members = members_in(object).ok_or(JsonLimitError::LoneSurrogate)?;
        // A stable sort: the last of duplicate members stays the last one.
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.push("{")?;
        let mut is_first = true;
        let mut rest = members.iter().peekable();
        while let Some((name, value)) = rest.next() {
            if rest.peek().is_some_and(|(next, _)| next == name) {
                continue;
            }
            if !is_first {
                self.push(",")?;
            }
            is_first = false;
            self.string(name)?;
            self.push(":")?;
            self.value(value)?;
        }
        self.push("}")
    }

    fn number(&mut self, number: &str) -> Result<(), JsonLimitError> {
        let value: Result<f64, _> = number.parse();
        if !value.is_ok_and(f64::is_finite) {
            return Err(JsonLimitError::OutOfRange);
        }
        self.push(number)
    }

    fn string(&mut self, text: &str) -> Result<(), JsonLimitError> {
        texts::check(text)?;
        let json = serde_json::to_string(text).unwrap_or_default();
        self.push(&json)
    }

    fn push(&mut self, json: &str) -> Result<(), JsonLimitError> {
        if self.out.len() + json.len() > self.most_bytes {
            return Err(JsonLimitError::TooLong(self.most_bytes));
        }
        self.out.push_str(json);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(json: &str) -> Result<String, JsonLimitError> {
        let json: Json = serde_json::from_str(json).unwrap();
        kept_object(&json, 64 * 1024).map(|kept| kept.as_str().to_owned())
    }

    #[test]
    fn numbers_keep_every_digit() {
        let sent = r#"{"b": 123456789012345678901234567890, "d": 1.50, "e": [0.1234567890123456789012345, -0, 1E+2]}"#;
        let stored = r#"{"b":123456789012345678901234567890,"d":1.50,"e":[0.1234567890123456789012345,-0,1E+2]}"#;
        assert_eq!(kept(sent).as_deref(), Ok(stored));
        assert_eq!(kept(stored).as_deref(), Ok(stored), "it is kept as it was");
    }

    #[test]
    fn members_are_sorted_and_the_last_of_a_name_stays() {
        let sent = "{\"b\" : {\"d\":null, \"c\":[true, {} ]},\n\"a\":\"x\\u0041\", \"b\":1, \"\\u0061\":2}";
        assert_eq!(kept(sent).as_deref(), Ok(r#"{"a":2,"b":1}"#));
    }

    #[test]
    fn refuses_what_cannot_be_kept() {
        let deep = |depth: usize| format!("{}{{}}{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(64 * 1024));
        for (sent, refused) in [
            ("[]", JsonLimitError::NotAnObject),
            (r#"{"a":1e400}"#, JsonLimitError::OutOfRange),
            (r#"{"a":[-1e400]}"#, JsonLimitError::OutOfRange),
            (r#"{"a":"\ud800"}"#, JsonLimitError::LoneSurrogate),
            (r#"{"a":{"\udc00":1}}"#, JsonLimitError::LoneSurrogate),
            (r#"{"a":["b\u0000"]}"#, JsonLimitError::Text(TextError::Nul)),
            (
                r#"{"a":{"b\u0000":1}}"#,
                JsonLimitError::Text(TextError::Nul),
            ),
            (&deep(DEEPEST), JsonLimitError::TooDeep),
            (&long, JsonLimitError::TooLong(64 * 1024)),
        ] {
            assert_eq!(kept(sent), Err(refused), "{}", &sent[..sent.len().min(40)]);
        }
        assert!(kept(&deep(DEEPEST - 1)).is_ok());
        let wide = |depth: usize| {
            let around = "[".repeat(depth);
            let within = "0,".repeat(30 * 1024);
            format!("{{\"a\":{around}[{within}0]{}}}", "]".repeat(depth))
        };
        assert!(kept(&wide(100)).is_ok());
        let white = wide(100).replace(",0]", &format!(",{}0]", " ".repeat(64 * 1024)));
        assert_eq!(
            kept(&white),
            Err(JsonLimitError::TooDeep),
            "much to look at"
        );
        let longest = format!("{{ \"a\" : \"{}\" }}", "x".repeat(64 * 1024 - 8));
        assert!(kept(&longest).is_ok(), "white space does not count");
    }
}
