//! Validation rules of each payload type.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;

use super::{MAX_PAYLOAD_BYTES, OutputType, PayloadError};
use crate::dicom::Uid;
use crate::json::{
    Json, JsonLimitError, Kind, Members, can_be_kept, each_element, kept_object, kind, members_in,
    text,
};
use crate::score::Score;
use crate::text::Text;

/// Maximum number of flags, each of at most 256 bytes: flags are not encrypted and appear in lists.
const MAX_FLAGS: usize = 100;
const MAX_FLAG_BYTES: usize = 256;
/// Maximum number of errors reported for one payload, which may contain thousands.
const MAX_REPORTED_ERRORS: usize = 100;

/// Rule for one member.
struct FieldRule {
    name: &'static str,
    required: bool,
    shape: FieldType,
}

enum FieldType {
    /// Number from 0 to 1.
    Score,
    /// Any number.
    Number,
    /// Number greater than 0.
    PositiveNumber,
    /// Non-blank text.
    Text,
    /// Text, or a vendor-specific object.
    Location,
    /// DICOM UID.
    Uid,
    /// Array of texts.
    Texts,
    /// Array of at most 100 short texts.
    Flags,
    /// Array of objects.
    Items(&'static [FieldRule]),
}

const fn required(name: &'static str, shape: FieldType) -> FieldRule {
    FieldRule {
        name,
        required: true,
        shape,
    }
}

const fn optional(name: &'static str, shape: FieldType) -> FieldRule {
    FieldRule {
        name,
        required: false,
        shape,
    }
}

const TRIAGE: &[FieldRule] = &[
    required("triage_score", FieldType::Score),
    required("flags", FieldType::Flags),
];
const QUALITY: &[FieldRule] = &[
    required("score", FieldType::Score),
    optional("issues", FieldType::Texts),
];
const FINDING_LIST: &[FieldRule] = &[required("findings", FieldType::Items(FINDING))];
const FINDING: &[FieldRule] = &[
    required("label", FieldType::Text),
    required("confidence", FieldType::Score),
    optional("code", FieldType::Text),
    optional("location", FieldType::Location),
];
const BBOX: &[FieldRule] = &[required("boxes", FieldType::Items(BOX))];
const BOX: &[FieldRule] = &[
    required("x", FieldType::Number),
    required("y", FieldType::Number),
    required("width", FieldType::PositiveNumber),
    required("height", FieldType::PositiveNumber),
    required("label", FieldType::Text),
    optional("confidence", FieldType::Score),
    optional("series_instance_uid", FieldType::Uid),
    optional("sop_instance_uid", FieldType::Uid),
];
const SEGMENTATION: &[FieldRule] = &[required("reference", FieldType::Text)];
const SUGGESTED_REPORT: &[FieldRule] = &[
    optional("findings", FieldType::Text),
    optional("impression", FieldType::Text),
];
const COMPARISON: &[FieldRule] = &[
    optional("prior_study_instance_uid", FieldType::Uid),
    required("summary", FieldType::Text),
];

const fn rules(output_type: OutputType) -> &'static [FieldRule] {
    match output_type {
        OutputType::Triage => TRIAGE,
        OutputType::Quality => QUALITY,
        OutputType::FindingList => FINDING_LIST,
        OutputType::Bbox => BBOX,
        OutputType::Segmentation => SEGMENTATION,
        OutputType::SuggestedReport => SUGGESTED_REPORT,
        OutputType::Comparison => COMPARISON,
    }
}

/// Returns the payload's members as stored, if the payload satisfies the rules of its type.
pub(super) fn checked(
    output_type: OutputType,
    object: &Json,
) -> Result<Members, Vec<PayloadError>> {
    let rules = rules(output_type);
    let mut wrongs = PayloadErrors::default();
    let kept = kept_object(object, MAX_PAYLOAD_BYTES);
    match &kept {
        Err(
            error @ (JsonLimitError::NotAnObject
            | JsonLimitError::TooLong(_)
            | JsonLimitError::TooDeep),
        ) => {
            wrongs.push_error("", error.to_string());
        }
        Ok(kept) => check_item(rules, kept.as_str(), "", &mut wrongs),
        Err(
            error @ (JsonLimitError::OutOfRange
            | JsonLimitError::LoneSurrogate
            | JsonLimitError::Text(_)),
        ) => {
            check_item(rules, object.as_str(), "", &mut wrongs);
            if wrongs.0.is_empty() {
                wrongs.push_error(&member_at_fault(rules, object.as_str()), error.to_string());
            }
        }
    }
    let members = kept.ok().and_then(|kept| kept.read().ok());
    members.filter(|_| wrongs.0.is_empty()).ok_or(wrongs.0)
}

/// Returns the pointer of the member that cannot be stored, if a rule names it. Other member names are not repeated,
/// because they could be PHI.
fn member_at_fault(rules: &[FieldRule], object: &str) -> String {
    let members = members_in(object).unwrap_or_default();
    let at_fault = members.into_iter().find(|(name, value)| {
        rules.iter().any(|rule| rule.name == name) && !can_be_kept(value, MAX_PAYLOAD_BYTES)
    });
    at_fault.map_or_else(String::new, |(name, _)| format!("/{name}"))
}

/// The first [`MAX_REPORTED_ERRORS`] errors.
#[derive(Default)]
struct PayloadErrors(Vec<PayloadError>);

impl PayloadErrors {
    fn push_error(&mut self, pointer: &str, detail: impl Into<Cow<'static, str>>) {
        if self.0.len() < MAX_REPORTED_ERRORS {
            self.0.push(PayloadError {
                pointer: pointer.to_owned(),
                detail: detail.into(),
            });
        }
    }
}

fn check_members(
    rules: &'static [FieldRule],
    members: BTreeMap<&str, &str>,
    at: &str,
    wrongs: &mut PayloadErrors,
) {
    for rule in rules {
        let pointer = format!("{at}/{}", rule.name);
        match members.get(rule.name).copied() {
            None | Some("null") if rule.required => wrongs.push_error(&pointer, "is required"),
            None | Some("null") => {}
            Some(value) => check_value(&rule.shape, value, &pointer, wrongs),
        }
    }
}

fn check_value(shape: &FieldType, value: &str, at: &str, wrongs: &mut PayloadErrors) {
    let detail = match shape {
        FieldType::Score if !is_score(value) => "must be a number from 0 to 1",
        FieldType::Number if kind(value) != Kind::Number => "must be a number",
        FieldType::PositiveNumber if !number(value).is_some_and(|extent| extent > 0.0) => {
            "must be greater than 0"
        }
        FieldType::Text if !is_text(value) => "must be non-blank text of at most 64 KiB",
        FieldType::Location if kind(value) != Kind::Object && !is_text(value) => {
            "must be text or an object"
        }
        FieldType::Uid if !is_uid(value) => "must be a DICOM UID",
        FieldType::Texts => {
            return check_items(value, at, wrongs, |item, at, wrongs| {
                check_value(&FieldType::Text, item, at, wrongs);
            });
        }
        FieldType::Flags => return check_flags(value, at, wrongs),
        FieldType::Items(rules) => {
            return check_items(value, at, wrongs, |item, at, wrongs| {
                check_item(rules, item, at, wrongs);
            });
        }
        FieldType::Score
        | FieldType::Number
        | FieldType::PositiveNumber
        | FieldType::Text
        | FieldType::Location
        | FieldType::Uid => {
            return;
        }
    };
    wrongs.push_error(at, detail);
}

fn check_item(rules: &'static [FieldRule], item: &str, at: &str, wrongs: &mut PayloadErrors) {
    if kind(item) != Kind::Object {
        return wrongs.push_error(at, "must be an object");
    }
    let members = members_in(item).unwrap_or_default();
    let members = members.iter().map(|(name, value)| (name.as_ref(), *value));
    check_members(rules, members.collect(), at, wrongs);
}

fn check_items(
    value: &str,
    at: &str,
    wrongs: &mut PayloadErrors,
    each: impl Fn(&str, &str, &mut PayloadErrors),
) {
    if kind(value) != Kind::Array {
        return wrongs.push_error(at, "must be an array");
    }
    let checked: Result<(), Infallible> = each_element(value, |index, item| {
        each(item, &format!("{at}/{index}"), wrongs);
        Ok(())
    });
    let Ok(()) = checked;
}

fn check_flags(value: &str, at: &str, wrongs: &mut PayloadErrors) {
    let mut count = 0;
    let counted: Result<(), Infallible> = each_element(value, |_, _| {
        count += 1;
        Ok(())
    });
    let Ok(()) = counted;
    if count > MAX_FLAGS {
        return wrongs.push_error(at, "must have at most 100 flags");
    }
    check_items(value, at, wrongs, |item, at, wrongs| {
        let is_short = text(item).is_some_and(|flag| flag.len() <= MAX_FLAG_BYTES);
        if !is_short || !is_text(item) {
            wrongs.push_error(at, "must be non-blank text of at most 256 bytes");
        }
    });
}

fn number(value: &str) -> Option<f64> {
    (kind(value) == Kind::Number)
        .then(|| value.parse().ok())
        .flatten()
}

fn is_score(value: &str) -> bool {
    number(value).is_some_and(|score| Score::parse(score).is_ok())
}

fn is_text(value: &str) -> bool {
    kind(value) == Kind::Text && text(value).is_some_and(|text| Text::parse(text).is_ok())
}

fn is_uid(value: &str) -> bool {
    kind(value) == Kind::Text && text(value).is_some_and(|uid| Uid::parse(&uid).is_ok())
}
