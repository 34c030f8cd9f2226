//! Body parts: DICOM Body Part Examined (0018,0015), or a local term of the site.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::caseless;
use crate::text::{Text, TextError};

/// A body part as entered, without the padding of a Code String (PS3.5, VR CS). Equality compares the displayed text;
/// [`Self::matches`] compares without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BodyPart(Text);

impl BodyPart {
    /// Parses a body part and trims the white space around it.
    ///
    /// # Errors
    ///
    /// [`TextError`] if the text is not a name ([`Text::parse_name`]).
    pub fn parse(text: &str) -> Result<Self, TextError> {
        Text::parse_name(text.trim()).map(Self)
    }

    /// Returns the body part as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the key by which body parts are compared and listed.
    pub fn key(&self) -> String {
        caseless::key(self.as_str())
    }

    /// Returns whether both name the same body part.
    pub fn matches(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl fmt::Display for BodyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_kept_without_its_padding() {
        assert_eq!(BodyPart::parse(" Chest ").unwrap().as_str(), "Chest");
        assert_eq!(BodyPart::parse(" "), Err(TextError::Blank));
    }

    /// Events of earlier releases contain padded body parts.
    #[test]
    fn one_that_was_stored_with_padding_matches_all_the_same() {
        let stored: BodyPart = serde_json::from_str("\"CHEST \"").unwrap();
        assert!(stored.matches(&BodyPart::parse("chest").unwrap()));
        assert!(!stored.matches(&BodyPart::parse("head").unwrap()));
    }
}
