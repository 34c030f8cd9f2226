//! What each type of payload has to hold.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;

use super::{MAX_PAYLOAD_BYTES, OutputType, Wrong};
use crate::dicom::Uid;
use crate::json::{
    Json, Kind, Members, NotKept, can_be_kept, each_element, kept_object, kind, members_in, text,
};
use crate::score::Score;
use crate::text::Text;

/// Flags travel in the clear, and through lists: a few short words each.
const MAX_FLAGS: usize = 100;
const MAX_FLAG_BYTES: usize = 256;
/// So much that is wrong is told of one payload, in which there is room for thousands of things.
const TOLD: usize = 100;

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

/// The payload's members as they are kept, where they are what a payload of this type has to hold.
pub(super) fn checked(output_type: OutputType, object: &Json) -> Result<Members, Vec<Wrong>> {
    let rules = rules(output_type);
    let mut wrongs = Wrongs::default();
    let kept = kept_object(object, MAX_PAYLOAD_BYTES);
    match &kept {
        Err(error @ (NotKept::NotAnObject | NotKept::TooLong(_) | NotKept::TooDeep)) => {
            wrongs.say("", error.to_string());
        }
        Ok(kept) => check_item(rules, kept.as_str(), "", &mut wrongs),
        Err(error @ (NotKept::OutOfRange | NotKept::LoneSurrogate | NotKept::Text(_))) => {
            check_item(rules, object.as_str(), "", &mut wrongs);
            if wrongs.0.is_empty() {
                wrongs.say(&member_at_fault(rules, object.as_str()), error.to_string());
            }
        }
    }
    let members = kept.ok().and_then(|kept| kept.read().ok());
    members.filter(|_| wrongs.0.is_empty()).ok_or(wrongs.0)
}

/// The pointer of the member that cannot be kept, if it is one of ours. What others are called is not repeated.
fn member_at_fault(rules: &[Rule], object: &str) -> String {
    let members = members_in(object).unwrap_or_default();
    let at_fault = members.into_iter().find(|(name, value)| {
        rules.iter().any(|rule| rule.name == name) && !can_be_kept(value, MAX_PAYLOAD_BYTES)
    });
    at_fault.map_or_else(String::new, |(name, _)| format!("/{name}"))
}

/// What is wrong so far, the first [`TOLD`] of it.
#[derive(Default)]
struct Wrongs(Vec<Wrong>);

impl Wrongs {
    fn say(&mut self, pointer: &str, detail: impl Into<Cow<'static, str>>) {
        if self.0.len() < TOLD {
            self.0.push(Wrong {
                pointer: pointer.to_owned(),
                detail: detail.into(),
            });
        }
    }
}

fn check_members(
    rules: &'static [Rule],
    members: BTreeMap<&str, &str>,
    at: &str,
    wrongs: &mut Wrongs,
) {
    for rule in rules {
        let pointer = format!("{at}/{}", rule.name);
        match members.get(rule.name).copied() {
            None | Some("null") if rule.required => wrongs.say(&pointer, "is required"),
            None | Some("null") => {}
            Some(value) => check(&rule.shape, value, &pointer, wrongs),
        }
    }
}

fn check(shape: &Shape, value: &str, at: &str, wrongs: &mut Wrongs) {
    let detail = match shape {
        Shape::Score if !is_score(value) => "must be a number from 0 to 1",
        Shape::Number if kind(value) != Kind::Number => "must be a number",
        Shape::Extent if !number(value).is_some_and(|extent| extent > 0.0) => {
            "must be a number above 0"
        }
        Shape::Text if !is_text(value) => "must be text of at most 64 KiB that says something",
        Shape::Place if kind(value) != Kind::Object && !is_text(value) => {
            "must be text or an object"
        }
        Shape::Uid if !is_uid(value) => "must be a DICOM UID",
        Shape::Texts => {
            return check_items(value, at, wrongs, |item, at, wrongs| {
                check(&Shape::Text, item, at, wrongs);
            });
        }
        Shape::Flags => return check_flags(value, at, wrongs),
        Shape::Items(rules) => {
            return check_items(value, at, wrongs, |item, at, wrongs| {
                check_item(rules, item, at, wrongs);
            });
        }
        Shape::Score | Shape::Number | Shape::Extent | Shape::Text | Shape::Place | Shape::Uid => {
            return;
        }
    };
    wrongs.say(at, detail);
}

fn check_item(rules: &'static [Rule], item: &str, at: &str, wrongs: &mut Wrongs) {
    if kind(item) != Kind::Object {
        return wrongs.say(at, "must be an object");
    }
    let members = members_in(item).unwrap_or_default();
    let members = members.iter().map(|(name, value)| (name.as_ref(), *value));
    check_members(rules, members.collect(), at, wrongs);
}

fn check_items(value: &str, at: &str, wrongs: &mut Wrongs, each: impl Fn(&str, &str, &mut Wrongs)) {
    if kind(value) != Kind::Array {
        return wrongs.say(at, "must be an array");
    }
    let checked: Result<(), Infallible> = each_element(value, |index, item| {
        each(item, &format!("{at}/{index}"), wrongs);
        Ok(())
    });
    let Ok(()) = checked;
}

fn check_flags(value: &str, at: &str, wrongs: &mut Wrongs) {
    let mut count = 0;
    let counted: Result<(), Infallible> = each_element(value, |_, _| {
        count += 1;
        Ok(())
    });
    let Ok(()) = counted;
    if count > MAX_FLAGS {
        return wrongs.say(at, "must be at most 100 flags");
    }
    check_items(value, at, wrongs, |item, at, wrongs| {
        let is_short = text(item).is_some_and(|flag| flag.len() <= MAX_FLAG_BYTES);
        if !is_short || !is_text(item) {
            wrongs.say(at, "must be text of at most 256 bytes that says something");
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
