//! Default text of a new report.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::codes::{InvalidSectionCode, SectionCode};
use crate::json::{Json, Kind, kind, members_in, text};
use crate::text::{Text, TextError};

/// Default text: one text for the findings, or texts by section. A section without text is empty and to be filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DefaultText {
    /// Text for the findings.
    Findings(Text),
    /// Text by section: the four standard sections and template sections.
    BySection(BTreeMap<SectionCode, Option<Text>>),
}

/// Maximum number of sections per template.
const MAX_SECTIONS: usize = 64;

/// Reasons why a value is not a default text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DefaultTextError {
    /// Wrong JSON type.
    #[error("must be a string, or an object of strings keyed by section")]
    WrongType,
    /// Invalid section code.
    #[error(transparent)]
    Section(#[from] InvalidSectionCode),
    /// Text that cannot be stored.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Lone surrogate, which is not a character.
    #[error("must not hold a lone surrogate")]
    LoneSurrogate,
    /// More than 64 sections.
    #[error("must not have more than 64 sections")]
    TooMany,
}

/// A merge patch (RFC 7396) of a [`DefaultText`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultTextPatch {
    /// New findings; replaces any existing default text.
    Findings(Text),
    /// Changes by section. A blank text makes an empty section; `null` removes the section.
    BySection(BTreeMap<SectionCode, Change<Option<Text>>>),
}

impl DefaultText {
    /// Parses a text, or an object whose members are texts; null and blank members are sections without text.
    ///
    /// # Errors
    /// [`DefaultTextError`] if the value is invalid.
    pub fn parse(json: &Json) -> Result<Self, DefaultTextError> {
        match DefaultTextPatch::parse(json)? {
            DefaultTextPatch::Findings(text) => Ok(Self::Findings(text)),
            DefaultTextPatch::BySection(sections) => {
                let sections = sections.into_iter();
                let whole = sections.map(|(code, change)| (code, change.value().flatten()));
                Ok(Self::BySection(whole.collect()))
            }
        }
    }
}

impl DefaultTextPatch {
    /// Parses a text, or an object whose members are texts or null.
    ///
    /// # Errors
    /// [`DefaultTextError`] if the value is invalid.
    pub fn parse(json: &Json) -> Result<Self, DefaultTextError> {
        let members = match kind(json.as_str()) {
            Kind::Text => return Ok(Self::Findings(Text::parse(characters(json.as_str())?)?)),
            Kind::Object => members_in(json.as_str()).ok_or(DefaultTextError::LoneSurrogate)?,
            Kind::Literal | Kind::Number | Kind::Array => return Err(DefaultTextError::WrongType),
        };
        if members.len() > MAX_SECTIONS {
            return Err(DefaultTextError::TooMany);
        }
        let sections = members
            .into_iter()
            .map(|(code, value)| Ok((SectionCode::parse(&code)?, section(value)?)));
        sections
            .collect::<Result<_, DefaultTextError>>()
            .map(Self::BySection)
    }

    /// Returns the complete default text: existing sections are retained unless the patch names them.
    ///
    /// # Errors
    /// [`DefaultTextError::TooMany`] if the result has more than 64 sections.
    pub fn laid_over(self, before: Option<&DefaultText>) -> Result<DefaultText, DefaultTextError> {
        let changes = match self {
            Self::Findings(text) => return Ok(DefaultText::Findings(text)),
            Self::BySection(changes) => changes,
        };
        let mut sections = match before {
            Some(DefaultText::BySection(sections)) => sections.clone(),
            Some(DefaultText::Findings(_)) | None => BTreeMap::new(),
        };
        for (code, change) in changes {
            match change {
                Change::Keep => None,
                Change::Clear => sections.remove(&code),
                Change::Set(text) => sections.insert(code, text),
            };
        }
        if sections.len() > MAX_SECTIONS {
            return Err(DefaultTextError::TooMany);
        }
        Ok(DefaultText::BySection(sections))
    }
}

fn characters(json: &str) -> Result<Cow<'_, str>, DefaultTextError> {
    text(json).ok_or(DefaultTextError::LoneSurrogate)
}

fn section(json: &str) -> Result<Change<Option<Text>>, DefaultTextError> {
    match kind(json) {
        Kind::Literal if json == "null" => Ok(Change::Clear),
        Kind::Text => match Text::parse(characters(json)?) {
            Ok(text) => Ok(Change::Set(Some(text))),
            Err(TextError::Blank) => Ok(Change::Set(None)),
            Err(error @ (TextError::TooLong | TextError::NameTooLong | TextError::Nul)) => {
                Err(error.into())
            }
        },
        Kind::Literal | Kind::Number | Kind::Array | Kind::Object => {
            Err(DefaultTextError::WrongType)
        }
    }
}
