//! The words that a report begins with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// More than a report is read with.
    #[error("must not have more than 64 sections")]
    TooMany,
}

impl DefaultText {
    /// A text, or an object whose members are texts; null and blank ones are sections without a text.
    pub fn parse(value: Value) -> Result<Self, NotADefaultText> {
        let members = match value {
            Value::String(text) => return Ok(Self::Findings(Text::parse(text)?)),
            Value::Object(members) => members,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                return Err(NotADefaultText::Shape);
            }
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

fn section(value: Value) -> Result<Option<Text>, NotADefaultText> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => match Text::parse(text) {
            Ok(text) => Ok(Some(text)),
            Err(TextError::Blank) => Ok(None),
            Err(error @ (TextError::TooLong | TextError::NameTooLong | TextError::Nul)) => {
                Err(error.into())
            }
        },
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(NotADefaultText::Shape)
        }
    }
}
