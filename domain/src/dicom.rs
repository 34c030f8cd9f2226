//! Value types of DICOM (PS3.5, section 6.2).

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id_kind::IdKind;

/// Accession Number (0008,0050): a Short String, at most 16 characters, no backslash and no control characters. Leading
/// and trailing spaces are insignificant and are removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccessionNumber(String);

/// Reasons why a text is not an accession number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAccessionNumber {
    /// Not a DICOM Short String of 1 to 16 characters.
    #[error("must be 1 to 16 characters without backslash or control characters")]
    Form,
    /// The derived order id could equal the id of another resource.
    #[error(
        "must not begin with a resource's kind and a colon, such as `PACSEndpoint:` or `ImagingStudy:`"
    )]
    Reserved,
}

/// Crockford's Base32 alphabet: no I, L, O or U, to avoid confusion when a number is read aloud.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl AccessionNumber {
    /// Parses an accession number, a Short String (PS3.5, VR SH).
    ///
    /// # Errors
    ///
    /// [`InvalidAccessionNumber`] if the text is not a Short String, or starts with a kind name and a colon
    /// ([`IdKind::begins`]).
    pub fn parse(text: &str) -> Result<Self, InvalidAccessionNumber> {
        let text = text.trim_matches(' ');
        let legal = |c: char| c != '\\' && !c.is_control();
        if text.is_empty() || text.chars().count() > 16 || !text.chars().all(legal) {
            return Err(InvalidAccessionNumber::Form);
        }
        if IdKind::begins(text) {
            return Err(InvalidAccessionNumber::Reserved);
        }
        Ok(Self(text.to_owned()))
    }

    /// Generates a number for an order without one, from a new UUIDv7: `R`, nine characters of time (45 bits of
    /// milliseconds), three of the counter (its low 15 bits, which distinguish the numbers of one process; RFC 9562,
    /// section 6.2, method 1 with 42 bits) and three random ones (15 bits). Numbers generated later sort later.
    pub fn generated(fresh: Uuid) -> Self {
        let fresh = fresh.as_u128();
        let millis = fresh >> 80;
        let counter = (fresh >> 32) & 0x7fff;
        let bits = ((millis & 0x1fff_ffff_ffff) << 30) | (counter << 15) | (fresh & 0x7fff);
        let digits = (0..15).rev().map(|place| {
            let index = usize::try_from((bits >> (place * 5)) & 31).unwrap_or_default();
            char::from(ALPHABET.get(index).copied().unwrap_or(b'0'))
        });
        Self(std::iter::once('R').chain(digits).collect())
    }

    /// Returns the number as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Application Entity Title (PS3.5, VR AE): at most 16 ASCII characters, no backslash and no control characters.
/// Leading and trailing spaces are insignificant and are removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AeTitle(String);

/// The text is not an Application Entity Title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 16 ASCII characters without backslash or control characters")]
pub struct InvalidAeTitle;

impl AeTitle {
    /// Parses an application entity title (PS3.5, VR AE).
    ///
    /// # Errors
    ///
    /// [`InvalidAeTitle`] if the text is not a title, for example if it consists of spaces.
    pub fn parse(text: &str) -> Result<Self, InvalidAeTitle> {
        let text = text.trim_matches(' ');
        let legal = |b: u8| (b == b' ' || b.is_ascii_graphic()) && b != b'\\';
        if !(1..=16).contains(&text.len()) || !text.bytes().all(legal) {
            return Err(InvalidAeTitle);
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the title as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Unique Identifier (PS3.5, section 9.1): at most 64 characters, components of digits separated by dots, no
/// component with a leading zero unless it is 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(String);

/// The text is not a DICOM UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a DICOM UID: at most 64 characters, numbers without leading zeros separated by dots"
)]
pub struct InvalidUid;

impl Uid {
    /// Parses a UID (PS3.5, VR UI).
    ///
    /// # Errors
    ///
    /// [`InvalidUid`] if the text is not a UID. Trailing NULs and spaces, the padding of some files, are rejected too.
    pub fn parse(text: &str) -> Result<Self, InvalidUid> {
        let component = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits && (text.len() == 1 || !text.starts_with('0'))
        };
        if text.len() > 64 || !text.split('.').all(component) {
            return Err(InvalidUid);
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the UID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_short_strings_only() {
        assert_eq!(
            AccessionNumber::parse("  ACC 1 ").unwrap().as_str(),
            "ACC 1"
        );
        assert!(AccessionNumber::parse("1234567890123456").is_ok());
        for bad in ["", "   ", "12345678901234567", "A\\B", "A\nB", "A\0B"] {
            assert_eq!(
                AccessionNumber::parse(bad),
                Err(InvalidAccessionNumber::Form),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn takes_application_entity_titles_only() {
        assert_eq!(AeTitle::parse(" MAIN PACS ").unwrap().as_str(), "MAIN PACS");
        assert!(AeTitle::parse("1234567890123456").is_ok());
        for bad in ["", "   ", "12345678901234567", "A\\B", "A\nB", "PÄCS"] {
            assert_eq!(AeTitle::parse(bad), Err(InvalidAeTitle), "{bad:?}");
        }
    }

    #[test]
    fn takes_uids_as_the_standard_writes_them() {
        for good in [
            "1.2.840.10008.1.2",
            "0.0",
            "2.25.329800735698586629295641978511506172918",
        ] {
            assert_eq!(Uid::parse(good).unwrap().as_str(), good);
        }
        let long = format!("1.{}", "2".repeat(63));
        for bad in [
            "", ".", "1..2", "1.2.", "1.02", "1.a", "1.2 ", "1.2\0", &long,
        ] {
            assert_eq!(Uid::parse(bad), Err(InvalidUid), "{bad:?}");
        }
    }

    #[test]
    fn generated_numbers_are_short_strings_that_sort_by_time() {
        let earlier = Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_0001);
        let later = Uuid::from_u128(0x018f_0000_0001_7000_8000_0000_0000_0000);
        let a = AccessionNumber::generated(earlier);
        let b = AccessionNumber::generated(later);
        assert_eq!(a.as_str(), "R1HW000000000001");
        assert!(a.as_str() < b.as_str());
        assert_eq!(AccessionNumber::parse(a.as_str()), Ok(a));
    }
}
