//! Conversion of a body's members to domain values: all errors are collected, each with its pointer.
//!
//! **Optional texts and ids**: a blank value counts as an omitted member. The forms of many systems send `""` for
//! fields that were not filled in, and DICOM attributes of type 2 are present and empty.
//!
//! **Changes** are merge patches (RFC 7396): an omitted member is kept, `null` removes an optional member, and so does
//! a blank text or id. Such a member of a body is a [`Change`].

mod ids;
mod integers;
mod shapes;

use std::fmt::Display;

use roentgen_domain::phi::{BirthDate, Metadata, MetadataObject, Patient, Phi, PhiText, Sex};
use roentgen_domain::text::Text;
use roentgen_domain::{Change, Timestamp};

pub(crate) use ids::{id_change, optional_id};
pub(crate) use integers::{integer_change, optional_integer};
pub(crate) use shapes::{FreeObject, JsonObject, List, most_elements, too_many};

use crate::openapi::values;
use crate::problem::{FieldError, Problem};

/// Maximum number of errors reported for one body. Millions of errors fit into a body, but not into a response.
const MAX_REPORTED_ERRORS: usize = 100;

/// Errors found so far, the first [`MAX_REPORTED_ERRORS`] of them.
#[derive(Debug, Default)]
pub(crate) struct BodyValidator(Vec<FieldError>);

impl BodyValidator {
    /// Reports an error if the member is absent.
    pub(crate) fn required<T>(&mut self, pointer: &str, member: Option<T>) -> Option<T> {
        if member.is_none() {
            self.push_error(pointer, "is required");
        }
        member
    }

    /// Parses the member, if present.
    pub(crate) fn parse<T, U, E: Display>(
        &mut self,
        pointer: &str,
        member: Option<T>,
        parse: impl FnOnce(T) -> Result<U, E>,
    ) -> Option<U> {
        match parse(member?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.push_error(pointer, error);
                None
            }
        }
    }

    /// Parses each element of the member.
    pub(crate) fn each<T, U, E: Display, const MOST: usize>(
        &mut self,
        pointer: &str,
        members: Option<List<T, MOST>>,
        parse: impl Fn(T) -> Result<U, E>,
    ) -> Option<Vec<U>> {
        let mut parsed = Vec::new();
        for (number, member) in members?.0.into_iter().enumerate() {
            parsed.extend(self.parse(&format!("{pointer}/{number}"), Some(member), &parse));
        }
        Some(parsed)
    }

    /// Parses each element of a list that is changed as a whole.
    pub(crate) fn each_of_change<T, U, E: Display, const MOST: usize>(
        &mut self,
        pointer: &str,
        members: Change<List<T, MOST>>,
        parse: impl Fn(T) -> Result<U, E>,
    ) -> Change<Vec<U>> {
        match members {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(members) => self.each(pointer, Some(members), parse).into(),
        }
    }

    /// Parses a required text; a blank text is an error.
    pub(crate) fn text(&mut self, pointer: &str, member: Option<String>) -> Option<Text> {
        self.parse(pointer, member, Text::parse)
    }

    /// Parses a required name or short label.
    pub(crate) fn name(&mut self, pointer: &str, member: Option<String>) -> Option<Text> {
        self.parse(pointer, member, Text::parse_name)
    }

    /// Parses a required text that is PHI.
    pub(crate) fn phi_text(&mut self, pointer: &str, member: Option<String>) -> Option<PhiText> {
        self.text(pointer, member).map(Phi::new)
    }

    /// Parses a required time.
    pub(crate) fn time(&mut self, pointer: &str, member: Option<String>) -> Option<Timestamp> {
        self.parse(pointer, member, |text| text.parse())
    }

    /// Parses an optional member that is sent as text.
    pub(crate) fn optional<T, E: Display>(
        &mut self,
        pointer: &str,
        member: Option<String>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let member = member.filter(|text| !is_blank(text));
        self.parse(pointer, member, |text| parse(&text))
    }

    /// Parses an optional text.
    pub(crate) fn optional_text(&mut self, pointer: &str, member: Option<String>) -> Option<Text> {
        self.optional(pointer, member, |text| Text::parse(text))
    }

    /// Parses an optional text that is PHI.
    pub(crate) fn optional_phi(
        &mut self,
        pointer: &str,
        member: Option<String>,
    ) -> Option<PhiText> {
        self.optional_text(pointer, member).map(Phi::new)
    }

    /// Parses an optional time.
    pub(crate) fn optional_time(
        &mut self,
        pointer: &str,
        member: Option<String>,
    ) -> Option<Timestamp> {
        self.optional(pointer, member, str::parse)
    }

    /// Parses an optional value from a fixed set.
    pub(crate) fn optional_word<T>(
        &mut self,
        pointer: &str,
        member: Option<String>,
        parse: impl FnOnce(&str) -> Option<T>,
        words: &str,
    ) -> Option<T> {
        let member = member.filter(|text| !is_blank(text));
        self.enum_value(pointer, member, parse, words)
    }

    /// Parses a value from a fixed set.
    pub(crate) fn enum_value<T>(
        &mut self,
        pointer: &str,
        member: Option<String>,
        parse: impl FnOnce(&str) -> Option<T>,
        words: &str,
    ) -> Option<T> {
        self.parse(pointer, member, |text| {
            parse(&text).ok_or_else(|| format!("must be one of {words}"))
        })
    }

    pub(crate) fn metadata(
        &mut self,
        pointer: &str,
        member: Option<FreeObject>,
    ) -> Option<Metadata> {
        self.parse(pointer, member, |object| {
            MetadataObject::parse(object.json())
        })
        .map(Phi::new)
    }

    /// Parses a change of an optional member.
    pub(crate) fn change<T, U, E: Display>(
        &mut self,
        pointer: &str,
        member: Change<T>,
        parse: impl FnOnce(T) -> Result<U, E>,
    ) -> Change<U> {
        match member {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(value) => self.parse(pointer, Some(value), parse).into(),
        }
    }

    /// Parses a change of an optional member that is sent as text; a blank text removes the member.
    pub(crate) fn change_from_text<T, E: Display>(
        &mut self,
        pointer: &str,
        member: Change<String>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Change<T> {
        match member {
            Change::Set(text) if is_blank(&text) => Change::Clear,
            said @ (Change::Keep | Change::Clear | Change::Set(_)) => {
                self.change(pointer, said, |text| parse(&text))
            }
        }
    }

    /// Parses a change of an optional text.
    pub(crate) fn text_change(&mut self, pointer: &str, member: Change<String>) -> Change<Text> {
        self.change_from_text(pointer, member, |text| Text::parse(text))
    }

    /// Parses a change of an optional name or short label.
    pub(crate) fn name_change(&mut self, pointer: &str, member: Change<String>) -> Change<Text> {
        self.change_from_text(pointer, member, |text| Text::parse_name(text))
    }

    /// Parses a change of an optional text that is PHI.
    pub(crate) fn phi_change(&mut self, pointer: &str, member: Change<String>) -> Change<PhiText> {
        self.text_change(pointer, member).map(Phi::new)
    }

    /// Parses a change of a client-defined object.
    pub(crate) fn metadata_change(
        &mut self,
        pointer: &str,
        member: Change<FreeObject>,
    ) -> Change<Metadata> {
        self.change(pointer, member, |object| {
            MetadataObject::parse(object.json())
        })
        .map(Phi::new)
    }

    /// Returns the new value of a member that cannot be removed; `null` is an error.
    pub(crate) fn kept<T>(&mut self, pointer: &str, member: Change<T>) -> Option<T> {
        if matches!(member, Change::Clear) {
            self.push_error(pointer, "cannot be taken away");
        }
        member.value()
    }

    /// Parses the patient's demographics; `None` if all members are absent or blank.
    pub(crate) fn patient(&mut self, member: Option<JsonObject<PatientBody>>) -> Option<Patient> {
        let JsonObject(body) = member?;
        let patient = Patient {
            mrn: self.optional_phi("/patient/mrn", body.mrn),
            family_name: self.optional_phi("/patient/family_name", body.family_name),
            given_name: self.optional_phi("/patient/given_name", body.given_name),
            birth_date: self
                .optional("/patient/birth_date", body.birth_date, BirthDate::parse)
                .map(Phi::new),
            sex: self
                .optional("/patient/sex", body.sex, Sex::parse)
                .map(Phi::new),
        };
        Some(patient).filter(|patient| !patient.is_empty())
    }

    pub(crate) fn push_error(&mut self, pointer: &str, detail: impl Display) {
        if self.0.len() < MAX_REPORTED_ERRORS {
            self.0.push(FieldError {
                pointer: pointer.to_owned(),
                detail: detail.to_string(),
            });
        }
    }

    /// Adds the errors of a nested member; `pointer` is only called if there are any.
    pub(crate) fn nest(&mut self, pointer: impl FnOnce() -> String, inner: Self) {
        if inner.0.is_empty() {
            return;
        }
        let outer = pointer();
        let room = MAX_REPORTED_ERRORS.saturating_sub(self.0.len());
        self.0
            .extend(inner.0.into_iter().take(room).map(|error| FieldError {
                pointer: format!("{outer}{}", error.pointer),
                ..error
            }));
    }

    /// Returns the result if there are no errors.
    pub(crate) fn finish<T>(self, whole: Option<T>) -> Result<T, Problem> {
        match whole {
            Some(whole) if self.0.is_empty() => Ok(whole),
            Some(_) | None => Err(Problem::unacceptable(self.0)),
        }
    }
}

pub(crate) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Patient demographics from the ordering system.
#[derive(Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Patient)]
pub(crate) struct PatientBody {
    /// Medical record number.
    #[schema(value_type = Option<values::Note>)]
    mrn: Option<String>,
    /// Family name.
    #[schema(value_type = Option<values::Note>)]
    family_name: Option<String>,
    /// Given names.
    #[schema(value_type = Option<values::Note>)]
    given_name: Option<String>,
    /// Date of birth, `YYYY-MM-DD`.
    #[schema(value_type = Option<values::OptionalDate>)]
    birth_date: Option<String>,
    /// female, male, other or unknown (or DICOM's F, M, O, U).
    #[schema(value_type = Option<values::OptionalSex>)]
    sex: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_first_hundred_things_that_are_wrong() {
        let mut inner = BodyValidator::default();
        let ninety = || Some(List::<_, 90>(vec![0; 90]));
        inner.each("/b", ninety(), |_| Err::<(), _>("is wrong"));
        let mut fields = BodyValidator::default();
        fields.each("/a", ninety(), |_| Err::<(), _>("is wrong"));
        fields.nest(|| "/c/0".to_owned(), inner);
        fields.push_error("/d", "is wrong");
        let told: Vec<&str> = fields
            .0
            .iter()
            .map(|error| error.pointer.as_str())
            .collect();
        assert_eq!(told.len(), MAX_REPORTED_ERRORS);
        assert_eq!((told[89], told[99]), ("/a/89", "/c/0/b/9"));
        assert!(fields.finish(Some(())).is_err());
    }

    #[test]
    fn a_blank_text_is_none_where_it_is_optional_and_wrong_where_it_is_required() {
        let mut fields = BodyValidator::default();
        let blank = || Some(" ".to_owned());
        assert_eq!(fields.optional_text("/a", blank()), None);
        assert_eq!(fields.optional_time("/b", blank()), None);
        assert_eq!(
            fields.text_change("/c", Change::Set(" ".to_owned())),
            Change::Clear
        );
        assert!(fields.0.is_empty());
        assert_eq!(fields.text("/d", blank()), None);
        assert_eq!(fields.0.len(), 1);
    }

    #[test]
    fn what_every_resource_has_cannot_be_taken_away() {
        let mut fields = BodyValidator::default();
        assert_eq!(fields.kept("/a", Change::Set(1)), Some(1));
        assert_eq!(fields.kept("/b", Change::<i32>::Keep), None);
        assert!(fields.0.is_empty());
        assert_eq!(fields.kept("/c", Change::<i32>::Clear), None);
        let wrong = fields.0.first().unwrap();
        assert_eq!(
            (wrong.pointer.as_str(), wrong.detail.as_str()),
            ("/c", "cannot be taken away")
        );
    }
}
