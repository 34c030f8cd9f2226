//! Types of protected health information (PHI) that never print their content.
//!
//! Section 1 of the contract lists the PHI. An event stores its PHI members separately from its payload, so that they
//! can be sealed with the patient's key; see [`crate::aggregate::EventData`]. The types in this module implement
//! `Serialize`, which sealing needs, but their `Debug` prints a placeholder and they have no `Display`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::json::{self, Json, JsonLimitError};
use crate::text::{MAX_TEXT_BYTES, Text};

/// A value that must not reach a log, a trace, a metric or an error.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phi<T>(T);

impl<T> Phi<T> {
    /// Marks a value as PHI.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Returns the value by reference, for sealing or for a caller who may see PHI.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Returns the value, for sealing or for a caller who may see PHI.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

/// `Debug` of types that are PHI by nature, even outside a [`Phi`].
macro_rules! redact_debug {
    ($($name:ty),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[phi]")
            }
        }
    )+};
}

/// A text about a patient: an indication, a reason, a finding.
pub type PhiText = Phi<Text>;

/// Patient demographics as known to the ordering system (FHIR Patient, DICOM Patient Module C.7.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patient {
    /// Medical record number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mrn: Option<PhiText>,
    /// Family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<PhiText>,
    /// Given names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<PhiText>,
    /// Date of birth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<Phi<BirthDate>>,
    /// Administrative gender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sex: Option<Phi<Sex>>,
}

impl Patient {
    /// Returns whether all members are absent.
    pub const fn is_empty(&self) -> bool {
        let Self {
            mrn,
            family_name,
            given_name,
            birth_date,
            sex,
        } = self;
        mrn.is_none()
            && family_name.is_none()
            && given_name.is_none()
            && birth_date.is_none()
            && sex.is_none()
    }

    /// Fills absent members from known demographics.
    #[must_use]
    pub fn or(self, known: Option<&Self>) -> Self {
        let Some(known) = known.cloned() else {
            return self;
        };
        Self {
            mrn: self.mrn.or(known.mrn),
            family_name: self.family_name.or(known.family_name),
            given_name: self.given_name.or(known.given_name),
            birth_date: self.birth_date.or(known.birth_date),
            sex: self.sex.or(known.sex),
        }
    }
}

/// A calendar date, `YYYY-MM-DD`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BirthDate(String);

redact_debug!(BirthDate, Sex, MetadataObject);

/// The text is not a calendar date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a date, YYYY-MM-DD")]
pub struct InvalidDate;

impl BirthDate {
    /// Parses a date, `YYYY-MM-DD`.
    ///
    /// # Errors
    ///
    /// [`InvalidDate`] if the text is not a date of the Gregorian calendar.
    pub fn parse(text: &str) -> Result<Self, InvalidDate> {
        let date: jiff::civil::Date = text.parse().map_err(|_| InvalidDate)?;
        let canonical = date.to_string();
        if canonical == text {
            Ok(Self(canonical))
        } else {
            Err(InvalidDate)
        }
    }
}

/// Administrative gender (FHIR `administrative-gender`).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
    /// Other.
    Other,
    /// Unknown.
    Unknown,
}

/// The text is not an administrative gender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of female, male, other, unknown (or DICOM's F, M, O, U)")]
pub struct InvalidSex;

impl Sex {
    /// Parses a FHIR code or a DICOM letter (0010,0040), in any case.
    ///
    /// # Errors
    ///
    /// [`InvalidSex`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidSex> {
        match text.to_ascii_lowercase().as_str() {
            "female" | "f" => Ok(Self::Female),
            "male" | "m" => Ok(Self::Male),
            "other" | "o" => Ok(Self::Other),
            "unknown" | "u" => Ok(Self::Unknown),
            _ => Err(InvalidSex),
        }
    }
}

/// A client-defined JSON object, stored in normal form and sealed as PHI because its content is unknown.
pub type Metadata = Phi<MetadataObject>;

/// The object inside [`Metadata`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MetadataObject(Json);

impl MetadataObject {
    /// Parses an object of at most 64 KiB. Numbers keep all digits; members are sorted by name.
    ///
    /// # Errors
    /// [`JsonLimitError`] with the limit that the object violates.
    pub fn parse(object: &Json) -> Result<Self, JsonLimitError> {
        json::kept_object(object, MAX_TEXT_BYTES).map(Self)
    }

    /// Applies a merge patch (RFC 7396) to the object, or to an empty object if there is none.
    ///
    /// # Errors
    /// [`JsonLimitError`] if the result cannot be stored.
    pub fn patched(before: Option<&Self>, patch: &Self) -> Result<Self, JsonLimitError> {
        // Both inputs are in normal form, so the result is in normal form.
        let merged = json::merge_patch(before.map(Self::expose), patch.expose())?;
        if merged.as_str().len() > MAX_TEXT_BYTES {
            Err(JsonLimitError::TooLong(MAX_TEXT_BYTES))
        } else {
            Ok(Self(merged))
        }
    }

    /// Returns the object, for sealing or for a caller who may see PHI.
    pub const fn expose(&self) -> &Json {
        &self.0
    }
}

/// Replaces the patch by a change to the complete patched object.
pub(crate) fn patched(
    before: Option<&Metadata>,
    patch: Change<Metadata>,
) -> Result<Change<Metadata>, JsonLimitError> {
    let before = before.map(Phi::expose);
    patch.try_map(|patch| MetadataObject::patched(before, patch.expose()).map(Phi::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phi_never_prints_itself() {
        let patient = Patient {
            mrn: Some(Phi::new(Text::parse("MRN-1").unwrap())),
            family_name: Some(Phi::new(Text::parse("Roe").unwrap())),
            given_name: None,
            birth_date: Some(Phi::new(BirthDate::parse("1970-01-31").unwrap())),
            sex: Some(Phi::new(Sex::parse("F").unwrap())),
        };
        let printed = format!("{patient:?}");
        for secret in ["MRN-1", "Roe", "1970", "Female"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    #[test]
    fn birth_dates_are_whole_dates_of_the_calendar() {
        assert!(BirthDate::parse("2000-02-29").is_ok());
        for bad in [
            "1999-02-29",
            "2000-2-9",
            "2000",
            "20000229",
            "2000-02-29T00:00:00Z",
        ] {
            assert_eq!(BirthDate::parse(bad).err(), Some(InvalidDate), "{bad}");
        }
    }
}
