//! From a body's members to domain values: everything that is wrong is found at once, each with its pointer.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use roentgen_domain::Timestamp;
use roentgen_domain::phi::{BirthDate, Metadata, MetadataObject, Patient, Phi, PhiText, Sex};
use roentgen_domain::text::Text;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::problem::{FieldError, Problem};

/// So many things that are wrong are told of one body. Millions of them fit into a body, and would not into an answer.
const TOLD: usize = 100;

/// What was wrong so far, the first [`TOLD`] of it.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<FieldError>);

impl Fields {
    /// The member has to be there.
    pub(crate) fn required<T>(&mut self, pointer: &str, member: Option<T>) -> Option<T> {
        if member.is_none() {
            self.wrong(pointer, "is required");
        }
        member
    }

    /// The member, where it is there, has to parse.
    pub(crate) fn parse<T, U, E: Display>(
        &mut self,
        pointer: &str,
        member: Option<T>,
        parse: impl FnOnce(T) -> Result<U, E>,
    ) -> Option<U> {
        match parse(member?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(pointer, error);
                None
            }
        }
    }

    /// Each of the member's elements has to parse.
    pub(crate) fn each<T, U, E: Display>(
        &mut self,
        pointer: &str,
        members: Option<Vec<T>>,
        parse: impl Fn(T) -> Result<U, E>,
    ) -> Option<Vec<U>> {
        let mut parsed = Vec::new();
        for (number, member) in members?.into_iter().enumerate() {
            parsed.extend(self.parse(&format!("{pointer}/{number}"), Some(member), &parse));
        }
        Some(parsed)
    }

    pub(crate) fn text(&mut self, pointer: &str, member: Option<String>) -> Option<Text> {
        self.parse(pointer, member, Text::parse)
    }

    /// A name or a short label.
    pub(crate) fn name(&mut self, pointer: &str, member: Option<String>) -> Option<Text> {
        self.parse(pointer, member, Text::parse_name)
    }

    pub(crate) fn phi_text(&mut self, pointer: &str, member: Option<String>) -> Option<PhiText> {
        self.text(pointer, member).map(Phi::new)
    }

    pub(crate) fn time(&mut self, pointer: &str, member: Option<String>) -> Option<Timestamp> {
        self.parse(pointer, member, |it| it.parse::<Timestamp>())
    }

    /// One of a closed set of words.
    pub(crate) fn word<T>(
        &mut self,
        pointer: &str,
        member: Option<String>,
        parse: impl FnOnce(&str) -> Option<T>,
        words: &str,
    ) -> Option<T> {
        self.parse(pointer, member, |it| {
            parse(&it).ok_or_else(|| format!("must be one of {words}"))
        })
    }

    pub(crate) fn metadata(
        &mut self,
        pointer: &str,
        member: Option<Map<String, Value>>,
    ) -> Option<Metadata> {
        self.parse(pointer, member, MetadataObject::parse)
            .map(Phi::new)
    }

    pub(crate) fn patient(&mut self, member: Option<Object<PatientBody>>) -> Option<Patient> {
        let Object(body) = member?;
        Some(Patient {
            mrn: self.phi_text("/patient/mrn", body.mrn),
            family_name: self.phi_text("/patient/family_name", body.family_name),
            given_name: self.phi_text("/patient/given_name", body.given_name),
            birth_date: self
                .parse("/patient/birth_date", body.birth_date, |it| {
                    BirthDate::parse(&it)
                })
                .map(Phi::new),
            sex: self
                .parse("/patient/sex", body.sex, |it| Sex::parse(&it))
                .map(Phi::new),
        })
    }

    pub(crate) fn wrong(&mut self, pointer: &str, detail: impl Display) {
        if self.0.len() < TOLD {
            self.0.push(FieldError {
                pointer: pointer.to_owned(),
                detail: detail.to_string(),
            });
        }
    }

    /// What was wrong within a member; its pointer is asked for where something was.
    pub(crate) fn within(&mut self, pointer: impl FnOnce() -> String, inner: Self) {
        if inner.0.is_empty() {
            return;
        }
        let outer = pointer();
        let room = TOLD.saturating_sub(self.0.len());
        self.0
            .extend(inner.0.into_iter().take(room).map(|it| FieldError {
                pointer: format!("{outer}{}", it.pointer),
                ..it
            }));
    }

    /// The whole, where nothing was wrong.
    pub(crate) fn finish<T>(self, whole: Option<T>) -> Result<T, Problem> {
        match whole {
            Some(whole) if self.0.is_empty() => Ok(whole),
            Some(_) | None => Err(Problem::unacceptable(self.0)),
        }
    }
}

/// A JSON object. Derived structs would take an array of their members' values too, in an order that is no contract.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfMembers(PhantomData))
    }
}

struct OfMembers<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMembers<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// Who the patient is, as the ordering system knows it.
#[derive(Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Patient)]
pub(crate) struct PatientBody {
    /// Medical record number.
    mrn: Option<String>,
    /// Family name.
    family_name: Option<String>,
    /// Given names.
    given_name: Option<String>,
    /// `YYYY-MM-DD`.
    birth_date: Option<String>,
    /// female, male, other or unknown (or DICOM's F, M, O, U).
    sex: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_first_hundred_things_that_are_wrong() {
        let mut inner = Fields::default();
        let none = Some(vec![0; 90]);
        inner.each("/b", none, |_| Err::<(), _>("is wrong"));
        let mut fields = Fields::default();
        fields.each("/a", Some(vec![0; 90]), |_| Err::<(), _>("is wrong"));
        fields.within(|| "/c/0".to_owned(), inner);
        fields.wrong("/d", "is wrong");
        let told: Vec<&str> = fields.0.iter().map(|it| it.pointer.as_str()).collect();
        assert_eq!(told.len(), TOLD);
        assert_eq!((told[89], told[99]), ("/a/89", "/c/0/b/9"));
        assert!(fields.finish(Some(())).is_err());
    }
}
