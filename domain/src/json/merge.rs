//! JSON Merge Patch (RFC 7396) on texts: members that the patch does not name keep all digits.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::walk::{Kind, kind, members_in};
use super::{Json, JsonLimitError};

/// The values of one member in the target and in the patch.
#[derive(Default)]
struct Member<'a> {
    before: Option<&'a str>,
    change: Option<&'a str>,
}

/// Returns the target with the patch applied; members are sorted by name. `null` members of the patch are dropped, even
/// without a target. The result is as deep as the deeper of the two.
///
/// # Errors
/// [`JsonLimitError::LoneSurrogate`] if a member name contains a lone surrogate.
pub(crate) fn merge_patch(target: Option<&Json>, patch: &Json) -> Result<Json, JsonLimitError> {
    let mut merged = String::new();
    write(&mut merged, target.map(Json::as_str), patch.as_str())?;
    let merged = RawValue::from_string(merged).map_err(|_| JsonLimitError::NotAnObject)?;
    Ok(Json(merged))
}

fn write(out: &mut String, target: Option<&str>, patch: &str) -> Result<(), JsonLimitError> {
    match kind(patch) {
        Kind::Object => write_object(out, target, patch),
        Kind::Literal | Kind::Number | Kind::Text | Kind::Array => {
            out.push_str(patch);
            Ok(())
        }
    }
}

fn write_object(out: &mut String, target: Option<&str>, patch: &str) -> Result<(), JsonLimitError> {
    let target = target.filter(|json| kind(json) == Kind::Object);
    let mut members: BTreeMap<Cow<'_, str>, Member<'_>> = BTreeMap::new();
    // The last member of a name replaces the earlier ones.
    for (name, value) in members_of(target.unwrap_or("{}"))? {
        members.entry(name).or_default().before = Some(value);
    }
    for (name, value) in members_of(patch)? {
        members.entry(name).or_default().change = Some(value);
    }
    members.retain(|_, member| member.change != Some("null"));
    out.push('{');
    for (number, (name, member)) in members.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        out.push_str(&serde_json::to_string(name).unwrap_or_default());
        out.push(':');
        match member.change {
            Some(change) => write(out, member.before, change)?,
            None => out.push_str(member.before.unwrap_or("null")),
        }
    }
    out.push('}');
    Ok(())
}

fn members_of(object: &str) -> Result<Vec<(Cow<'_, str>, &str)>, JsonLimitError> {
    members_in(object).ok_or(JsonLimitError::LoneSurrogate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(target: &str, patch: &str) -> String {
        let json = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        let merged = merge_patch(Some(&json(target)), &json(patch)).unwrap();
        merged.as_str().to_owned()
    }

    /// The table of RFC 7396, Appendix A, with members sorted by name.
    #[test]
    fn merges_as_in_appendix_a() {
        for (target, patch, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            assert_eq!(merged(target, patch), expected, "{target} {patch}");
        }
    }

    #[test]
    fn digits_stay_and_the_last_of_a_name_counts() {
        let target = r#"{"dose":1.50,"n":123456789012345678901234567890,"x":{"y":1E2,"z":0}}"#;
        let patch = r#"{"n":1,"n":-0.0,"x":{"z":null},"\u0061":2.0}"#;
        let expected = r#"{"a":2.0,"dose":1.50,"n":-0.0,"x":{"y":1E2}}"#;
        assert_eq!(merged(target, patch), expected);
    }

    #[test]
    fn no_null_of_a_patch_stays_where_there_was_nothing() {
        let patch: Json = serde_json::from_str(r#"{"a":null,"b":{"c":null,"d":[null]}}"#).unwrap();
        let merged = merge_patch(None, &patch).unwrap();
        assert_eq!(merged.as_str(), r#"{"b":{"d":[null]}}"#);
    }
}
