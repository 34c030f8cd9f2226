//! The words that a report begins with.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::{Json, Kind, kind, members_in, text};
use crate::report::{NotASectionCode, SectionCode};
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
pub enum NotADefaultText {
    /// Another JSON type.
    #[error("must be a text, or an object of texts by section")]
    Shape,
    /// A name that no section can have.
    #[error(transparent)]
    Section(#[from] NotASectionCode),
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

impl DefaultText {
    /// A text, or an object whose members are texts; null and blank ones are sections without a text.
    ///
    /// # Errors
    /// [`NotADefaultText`] says what is wrong.
    pub fn parse(json: &Json) -> Result<Self, NotADefaultText> {
        let members = match kind(json.as_str()) {
            Kind::Text => return Ok(Self::Findings(Text::parse(characters(json.as_str())?)?)),
            Kind::Object => members_in(json.as_str()).ok_or(NotADefaultText::LoneSurrogate)?,
            Kind::Literal | Kind::Number | Kind::Array => return Err(NotADefaultText::Shape),
        };
        if members.len() > MAX_SECTIONS {
            return Err(NotADefaultText::TooMany);
        }
        let sections = members
            .into_iter()
            .map(|(code, value)| Ok((SectionCode::parse(&code)?, section(value)?)));
        sections
            .collect::<Result<_, NotADefaultText>>()
            .map(Self::BySection)
    }
}

fn characters(json: &str) -> Result<Cow<'_, str>, NotADefaultText> {
    text(json).ok_or(NotADefaultText::LoneSurrogate)
}

fn section(json: &str) -> Result<Option<Text>, NotADefaultText> {
    match kind(json) {
        Kind::Literal if json == "null" => Ok(None),
        Kind::Text => match Text::parse(characters(json)?) {
            Ok(text) => Ok(Some(text)),
            Err(TextError::Blank) => Ok(None),
            Err(error @ (TextError::TooLong | TextError::NameTooLong | TextError::Nul)) => {
                Err(error.into())
            }
        },
        Kind::Literal | Kind::Number | Kind::Array | Kind::Object => Err(NotADefaultText::Shape),
    }
}
