//! The words that a report begins with.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::json::{Json, Kind, kind, members_in, text};
use crate::report::{InvalidSectionCode, SectionCode};
use crate::text::{Text, TextError};

/// One text, which is the findings; or texts by section. A section may begin empty: it is there to be filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DefaultText {
    /// The findings.
    Findings(Text),
    /// By section: the report's own four, and whatever the template adds.
    BySection(BTreeMap<SectionCode, Option<Text>>),
}

/// The most sections that a template may have.
const MAX_SECTIONS: usize = 64;

/// Why a value is no default text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DefaultTextError {
    /// Another JSON type.
    #[error("must be a string, or an object of strings keyed by section")]
    WrongType,
    /// A name that no section can have.
    #[error(transparent)]
    Section(#[from] InvalidSectionCode),
    /// A text that cannot be kept.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Half of a surrogate pair, which is no character.
    #[error("must not hold a lone surrogate")]
    LoneSurrogate,
    /// More than a report is read with.
    #[error("must not have more than 64 sections")]
    TooMany,
}

/// A merge patch (RFC 7396) of a [`DefaultText`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultTextPatch {
    /// The findings, instead of whatever there was.
    Findings(Text),
    /// Changes by section. A blank text is a section that begins empty; `null` takes the section away.
    BySection(BTreeMap<SectionCode, Change<Option<Text>>>),
}

impl DefaultText {
    /// A text, or an object whose members are texts; null and blank ones are sections without a text.
    ///
    /// # Errors
    /// [`DefaultTextError`] says what is wrong.
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
    /// A text, or an object whose members are texts or null.
    ///
    /// # Errors
    /// [`DefaultTextError`] says what is wrong.
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

    /// The whole, with the sections that the template has already where the patch does not name them.
    ///
    /// # Errors
    /// [`DefaultTextError::TooMany`].
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
