//! What each type of payload has to hold.

use serde_json::{Map, Value};

use super::{MAX_PAYLOAD_BYTES, OutputType, Wrong};
use crate::dicom::Uid;
use crate::score::Score;
use crate::text::{self, Text};

/// Flags travel in the clear, and through lists: a few short words each.
const MAX_FLAGS: usize = 100;
const MAX_FLAG_BYTES: usize = 256;

/// One member and what it has to be.
struct Rule {
    name: &'static str,
    required: bool,
    shape: Shape,
}

enum Shape {
    /// A number from 0 to 1.
    Score,
    /// Any number.
    Number,
    /// A number above 0.
    Extent,
    /// Text that says something.
    Text,
    /// Text, or an object of the vendor's own.
    Place,
    /// A DICOM UID.
    Uid,
    /// An array of texts.
    Texts,
    /// An array of a few short texts.
    Flags,
    /// An array of objects.
    Items(&'static [Rule]),
}

const fn must(name: &'static str, shape: Shape) -> Rule {
    Rule {
        name,
        required: true,
        shape,
    }
}

const fn may(name: &'static str, shape: Shape) -> Rule {
    Rule {
        name,
        required: false,
        shape,
    }
}

const TRIAGE: &[Rule] = &[
    must("triage_score", Shape::Score),
    must("flags", Shape::Flags),
];
const QUALITY: &[Rule] = &[must("score", Shape::Score), may("issues", Shape::Texts)];
const FINDING_LIST: &[Rule] = &[must("findings", Shape::Items(FINDING))];
const FINDING: &[Rule] = &[
    must("label", Shape::Text),
    must("confidence", Shape::Score),
    may("code", Shape::Text),
    may("location", Shape::Place),
];
const BBOX: &[Rule] = &[must("boxes", Shape::Items(BOX))];
const BOX: &[Rule] = &[
    must("x", Shape::Number),
    must("y", Shape::Number),
    must("width", Shape::Extent),
    must("height", Shape::Extent),
    must("label", Shape::Text),
    may("confidence", Shape::Score),
    may("series_instance_uid", Shape::Uid),
    may("sop_instance_uid", Shape::Uid),
];
const SEGMENTATION: &[Rule] = &[must("reference", Shape::Text)];
const SUGGESTED_REPORT: &[Rule] = &[may("findings", Shape::Text), may("impression", Shape::Text)];
const COMPARISON: &[Rule] = &[
    may("prior_study_instance_uid", Shape::Uid),
    must("summary", Shape::Text),
];

const fn rules(output_type: OutputType) -> &'static [Rule] {
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

/// All that is wrong with a payload of this type.
pub(super) fn wrong(output_type: OutputType, object: &Map<String, Value>) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let size = serde_json::to_vec(object).map_or(usize::MAX, |it| it.len());
    if size > MAX_PAYLOAD_BYTES {
        say(&mut wrong, "", "must not be longer than 252 KiB of JSON");
        return wrong;
    }
    check_members(rules(output_type), object, "", &mut wrong);
    if wrong.is_empty() {
        check_texts(rules(output_type), object, &mut wrong);
    }
    wrong
}

fn say(wrong: &mut Vec<Wrong>, pointer: &str, detail: &'static str) {
    wrong.push(Wrong {
        pointer: pointer.to_owned(),
        detail,
    });
}

fn check_members(
    rules: &'static [Rule],
    object: &Map<String, Value>,
    at: &str,
    wrong: &mut Vec<Wrong>,
) {
    for rule in rules {
        let pointer = format!("{at}/{}", rule.name);
        match object.get(rule.name) {
            None | Some(Value::Null) if rule.required => say(wrong, &pointer, "is required"),
            None | Some(Value::Null) => {}
            Some(value) => check(&rule.shape, value, &pointer, wrong),
        }
    }
}

fn check(shape: &Shape, value: &Value, at: &str, wrong: &mut Vec<Wrong>) {
    let detail = match shape {
        Shape::Score if !is_score(value) => "must be a number from 0 to 1",
        Shape::Number if !value.is_number() => "must be a number",
        Shape::Extent if !value.as_f64().is_some_and(|it| it > 0.0) => "must be a number above 0",
        Shape::Text if !is_text(value) => "must be text of at most 64 KiB that says something",
        Shape::Place if !value.is_object() && !is_text(value) => "must be text or an object",
        Shape::Uid if !is_uid(value) => "must be a DICOM UID",
        Shape::Texts => {
            return check_items(value, at, wrong, |it, at, wrong| {
                check(&Shape::Text, it, at, wrong);
            });
        }
        Shape::Flags => return check_flags(value, at, wrong),
        Shape::Items(rules) => {
            return check_items(value, at, wrong, |it, at, wrong| match it.as_object() {
                Some(object) => check_members(rules, object, at, wrong),
                None => say(wrong, at, "must be an object"),
            });
        }
        Shape::Score | Shape::Number | Shape::Extent | Shape::Text | Shape::Place | Shape::Uid => {
            return;
        }
    };
    say(wrong, at, detail);
}

fn check_items(
    value: &Value,
    at: &str,
    wrong: &mut Vec<Wrong>,
    each: impl Fn(&Value, &str, &mut Vec<Wrong>),
) {
    let Some(items) = value.as_array() else {
        return say(wrong, at, "must be an array");
    };
    for (index, item) in items.iter().enumerate() {
        each(item, &format!("{at}/{index}"), wrong);
    }
}

fn check_flags(value: &Value, at: &str, wrong: &mut Vec<Wrong>) {
    if value.as_array().is_some_and(|it| it.len() > MAX_FLAGS) {
        return say(wrong, at, "must be at most 100 flags");
    }
    check_items(value, at, wrong, |item, at, wrong| {
        let short = item.as_str().is_some_and(|it| it.len() <= MAX_FLAG_BYTES);
        if !short || !is_text(item) {
            say(
                wrong,
                at,
                "must be text of at most 256 bytes that says something",
            );
        }
    });
}

fn is_score(value: &Value) -> bool {
    value.as_f64().is_some_and(|it| Score::parse(it).is_ok())
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|it| Text::parse(it).is_ok())
}

fn is_uid(value: &Value) -> bool {
    value.as_str().is_some_and(|it| Uid::parse(it).is_ok())
}

/// The rules for text hold in the members that no rule names, too. What those are called is not repeated.
fn check_texts(rules: &[Rule], object: &Map<String, Value>, wrong: &mut Vec<Wrong>) {
    for (name, value) in object {
        let known = rules.iter().any(|it| it.name == name);
        if text::check(name).is_err() || !texts_hold(value) {
            let pointer = if known {
                format!("/{name}")
            } else {
                String::new()
            };
            let detail = "must hold no U+0000 and no text of more than 64 KiB";
            say(wrong, &pointer, detail);
        }
    }
}

fn texts_hold(value: &Value) -> bool {
    match value {
        Value::String(text) => text::check(text).is_ok(),
        Value::Array(items) => items.iter().all(texts_hold),
        Value::Object(object) => object
            .iter()
            .all(|(name, value)| text::check(name).is_ok() && texts_hold(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}
