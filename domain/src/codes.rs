//! Codes of the catalog: short upper-case names that users type.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident($error:ident): $length:expr, $extra:literal, $says:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        #[doc = concat!("The text is no ", stringify!($name), ".")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        #[error($says)]
        pub struct $error;

        impl $name {
            /// Parses a code in any case, with or without the padding of a Code String (PS3.5, VR CS); stores it in
            /// upper case without padding. Codes that differ only in case or padding are equal, as body parts match
            /// (see [`crate::caseless`]).
            ///
            /// # Errors
            ///
            /// If the length is out of bounds, or a character is not allowed.
            pub fn parse(text: &str) -> Result<Self, $error> {
                let code = text.trim().to_ascii_uppercase();
                let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || $extra.contains(&b);
                if $length.contains(&code.len()) && code.bytes().all(legal) {
                    Ok(Self(code))
                } else {
                    Err($error)
                }
            }

            /// Returns the code as text, in upper case.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

codes! {
    /// A modality: CT, MR, US, XR, ... (DICOM 0008,0060, or a local code of the site).
    ModalityCode(InvalidModalityCode): 2..=16, b"_", "must be 2 to 16 characters from A-Z, 0-9 and _";
    /// A procedure: `CT_BRAIN_WO_CONTRAST`.
    ProcedureCode(InvalidProcedureCode): 1..=64, b"_-.", "must be 1 to 64 characters from A-Z, 0-9, _, - and .";
    /// A PACS endpoint: `MAIN_PACS`.
    PacsEndpointCode(InvalidPacsEndpointCode): 1..=64, b"_-.", "must be 1 to 64 characters from A-Z, 0-9, _, - and .";
    /// A report template: `CT_HEAD_STANDARD`.
    TemplateCode(InvalidTemplateCode): 1..=64, b"_-.", "must be 1 to 64 characters from A-Z, 0-9, _, - and .";
    /// An AI model: `ICH_TRIAGE_V2`.
    AiModelCode(InvalidAiModelCode): 1..=64, b"_-.", "must be 1 to 64 characters from A-Z, 0-9, _, - and .";
}

/// Section code: 1 to 64 characters from a-z, 0-9 and _.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SectionCode(Cow<'static, str>);

/// Error for text that is not a section code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("section code must be 1 to 64 characters from a-z, 0-9 and _")]
pub struct InvalidSectionCode;

impl SectionCode {
    /// Clinical history.
    pub const CLINICAL_HISTORY: Self = Self(Cow::Borrowed("clinical_history"));
    /// Technique.
    pub const TECHNIQUE: Self = Self(Cow::Borrowed("technique"));
    /// Findings.
    pub const FINDINGS: Self = Self(Cow::Borrowed("findings"));
    /// Impression.
    pub const IMPRESSION: Self = Self(Cow::Borrowed("impression"));

    /// Parses a section code in any case and stores it in lower case.
    ///
    /// # Errors
    ///
    /// [`InvalidSectionCode`] if the text is not a code.
    pub fn parse(text: &str) -> Result<Self, InvalidSectionCode> {
        let code = text.to_ascii_lowercase();
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if (1..=64).contains(&code.len()) && code.bytes().all(legal) {
            Ok(Self(code.into()))
        } else {
            Err(InvalidSectionCode)
        }
    }

    /// Returns the code as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the display title: `left_ventricle` becomes "Left ventricle".
    pub fn title(&self) -> String {
        let words = self.0.replace('_', " ");
        let mut letters = words.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        })
    }
}

impl fmt::Display for SectionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_upper_case_whatever_was_typed() {
        assert_eq!(ModalityCode::parse("ct").unwrap().as_str(), "CT");
        assert_eq!(ModalityCode::parse("CT ").unwrap().as_str(), "CT");
        assert_eq!(
            ProcedureCode::parse("ct_head-1.a").unwrap().as_str(),
            "CT_HEAD-1.A"
        );
    }

    #[test]
    fn refuses_what_is_too_short_too_long_or_strange() {
        for bad in ["", "C", "C T", "CT-1", "ABCDEFGHIJKLMNOPQ", "ÇT"] {
            assert_eq!(ModalityCode::parse(bad), Err(InvalidModalityCode), "{bad}");
        }
        assert_eq!(
            ProcedureCode::parse(&"A".repeat(65)),
            Err(InvalidProcedureCode)
        );
    }
}
