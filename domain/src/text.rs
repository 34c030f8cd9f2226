//! Text written by people, with the limits of storage and reading.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Maximum length of a text field: 64 KiB of UTF-8.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Maximum length of a name or label, in characters.
pub const MAX_NAME_CHARS: usize = 256;

/// Reasons why a text is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Only white space.
    #[error("must not be blank")]
    Blank,
    /// More than [`MAX_TEXT_BYTES`].
    #[error("must not be longer than 64 KiB")]
    TooLong,
    /// A name of more than [`MAX_NAME_CHARS`].
    #[error("must not be longer than 256 characters")]
    NameTooLong,
    /// U+0000, which PostgreSQL cannot store.
    #[error("must not contain the character U+0000")]
    Nul,
}

/// Non-blank text without NUL, at most 64 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// Parses a text of at most 64 KiB.
    ///
    /// # Errors
    ///
    /// [`TextError`] if the text is blank, contains U+0000 or is longer.
    pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        check(&text)?;
        if text.trim().is_empty() {
            return Err(TextError::Blank);
        }
        Ok(Self(text))
    }

    /// Parses a name or a short label, which lists show and searches match. The limit applies to commands only: events
    /// that were recorded before the limit existed have longer names and stay readable.
    ///
    /// # Errors
    /// As [`Self::parse`], and [`TextError::NameTooLong`].
    pub fn parse_name(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        if text.len() > MAX_NAME_CHARS && text.chars().count() > MAX_NAME_CHARS {
            return Err(TextError::NameTooLong);
        }
        Self::parse(text)
    }

    /// Wraps a constant text of this crate, which is known to be valid.
    pub(crate) fn from_static(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Checks the rules for every text, blank or not.
pub(crate) fn check(text: &str) -> Result<(), TextError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(TextError::TooLong);
    }
    if text.contains('\0') {
        return Err(TextError::Nul);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be_kept_or_read() {
        assert_eq!(Text::parse(" \n\t"), Err(TextError::Blank));
        assert_eq!(Text::parse("a\0b"), Err(TextError::Nul));
        assert_eq!(
            Text::parse("x".repeat(MAX_TEXT_BYTES + 1)),
            Err(TextError::TooLong)
        );
        assert!(Text::parse("x".repeat(MAX_TEXT_BYTES)).is_ok());
    }

    #[test]
    fn name_is_bounded_in_characters_and_an_older_one_stays_readable() {
        let longest = "ä".repeat(MAX_NAME_CHARS);
        assert!(Text::parse_name(longest.as_str()).is_ok());
        let longer = format!("{longest}a");
        assert_eq!(
            Text::parse_name(longer.as_str()),
            Err(TextError::NameTooLong)
        );
        let stored = serde_json::to_string(&longer).unwrap();
        let read: Text = serde_json::from_str(&stored).unwrap();
        assert_eq!(read.as_str(), longer);
    }
}
