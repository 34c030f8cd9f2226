//! What a report says: the four sections that every report has, the template's own, and structured data.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::json::Json;
use crate::phi::{Metadata, PhiText};
use crate::report_template::DefaultText;

/// A section's name: 1 to 64 of a-z, 0-9 and _.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SectionCode(Cow<'static, str>);

/// The text is no section's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("section code must be 1 to 64 characters from a-z, 0-9 and _")]
pub struct InvalidSectionCode;

impl SectionCode {
    /// Clinical history.
    pub const CLINICAL_HISTORY: Self = Self(Cow::Borrowed("clinical_history"));
    /// Technique.
    pub const TECHNIQUE: Self = Self(Cow::Borrowed("technique"));
    /// What is seen.
    pub const FINDINGS: Self = Self(Cow::Borrowed("findings"));
    /// What it means.
    pub const IMPRESSION: Self = Self(Cow::Borrowed("impression"));

    /// Parses a section code in any case; keeps lower case.
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

    /// The code as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What people read: `left_ventricle` is "Left ventricle".
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

/// A section that is the template's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Its name in this report.
    pub code: SectionCode,
    /// What it says; nothing yet, where it is there to be filled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<PhiText>,
}

/// What a report says. PHI, all of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Clinical history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clinical_history: Option<PhiText>,
    /// Technique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technique: Option<PhiText>,
    /// What is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<PhiText>,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impression: Option<PhiText>,
    /// The template's own sections, as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sections: Option<Vec<Section>>,
    /// Structured data; replaces the stored value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_data: Option<Metadata>,
}

/// What a radiologist writes: the report's content, and what they keep of the machine's words.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AuthoredContent {
    /// What is to be signed.
    #[serde(flatten)]
    pub content: Content,
    /// What AI models said of the study. Never part of the content: it is not signed and not released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_assist_summary: Option<PhiText>,
}

/// What of a report's content changes. PHI, all of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContentChanges {
    /// Clinical history.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub clinical_history: Change<PhiText>,
    /// Technique.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub technique: Change<PhiText>,
    /// What is seen.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub findings: Change<PhiText>,
    /// What it means.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub impression: Change<PhiText>,
    /// The template's own sections, as a whole. They are emptied one by one and never taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sections: Option<Vec<Section>>,
    /// Structured data; replaces the stored value.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub structured_data: Change<Metadata>,
}

/// What a radiologist changes of what is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ContentEdit {
    /// What is to be signed.
    #[serde(flatten)]
    pub content: ContentChanges,
    /// What is kept of the machine's words.
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub ai_assist_summary: Change<PhiText>,
}

/// The member that stands beside the content. serde's own `flatten` reads numbers as doubles.
#[derive(Deserialize)]
#[serde(bound = "M: Default + Deserialize<'de>")]
struct Beside<M> {
    #[serde(default)]
    ai_assist_summary: M,
}

impl<'de> Deserialize<'de> for AuthoredContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (content, Beside { ai_assist_summary }) = content_and_beside(deserializer)?;
        Ok(Self {
            content,
            ai_assist_summary,
        })
    }
}

impl<'de> Deserialize<'de> for ContentEdit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (content, Beside { ai_assist_summary }) = content_and_beside(deserializer)?;
        Ok(Self {
            content,
            ai_assist_summary,
        })
    }
}

fn content_and_beside<'de, D, C, M>(deserializer: D) -> Result<(C, Beside<M>), D::Error>
where
    D: Deserializer<'de>,
    C: DeserializeOwned,
    M: Default + DeserializeOwned,
{
    let object = Json::deserialize(deserializer)?;
    let content = object.read().map_err(D::Error::custom)?;
    let beside = object.read().map_err(D::Error::custom)?;
    Ok((content, beside))
}

impl ContentChanges {
    /// The member that one of the four sections is.
    pub(super) fn member(&mut self, code: &SectionCode) -> Option<&mut Change<PhiText>> {
        match code.as_str() {
            "clinical_history" => Some(&mut self.clinical_history),
            "technique" => Some(&mut self.technique),
            "findings" => Some(&mut self.findings),
            "impression" => Some(&mut self.impression),
            _ => None,
        }
    }
}

impl Content {
    /// This content with the template's words where nothing was written.
    #[must_use]
    pub fn or_default_text(mut self, default_text: &DefaultText) -> Self {
        match default_text {
            DefaultText::Findings(text) => {
                self.set_default(&SectionCode::FINDINGS, Some(PhiText::new(text.clone())));
            }
            DefaultText::BySection(texts) => {
                for (code, text) in texts {
                    self.set_default(code, text.clone().map(PhiText::new));
                }
            }
        }
        self
    }

    fn set_default(&mut self, code: &SectionCode, text: Option<PhiText>) {
        match self.member(code) {
            Some(member) => *member = member.take().or(text),
            None => self.sections.get_or_insert_default().push(Section {
                code: code.clone(),
                text,
            }),
        }
    }

    /// The member that one of the four sections is.
    fn member(&mut self, code: &SectionCode) -> Option<&mut Option<PhiText>> {
        match code.as_str() {
            "clinical_history" => Some(&mut self.clinical_history),
            "technique" => Some(&mut self.technique),
            "findings" => Some(&mut self.findings),
            "impression" => Some(&mut self.impression),
            _ => None,
        }
    }

    /// Every section that there is, in reading order: the four, then the template's own.
    pub fn all_sections(&self) -> Vec<Section> {
        let four = [
            (SectionCode::CLINICAL_HISTORY, &self.clinical_history),
            (SectionCode::TECHNIQUE, &self.technique),
            (SectionCode::FINDINGS, &self.findings),
            (SectionCode::IMPRESSION, &self.impression),
        ];
        let four = four
            .into_iter()
            .filter_map(|(code, text)| text.clone().map(|text| (code, text)));
        four.map(|(code, text)| Section {
            code,
            text: Some(text),
        })
        .chain(self.sections.iter().flatten().cloned())
        .collect()
    }

    /// What of `asked` differs from this.
    pub(super) fn diff(&self, asked: ContentChanges) -> ContentChanges {
        ContentChanges {
            clinical_history: asked
                .clinical_history
                .unless_already(self.clinical_history.as_ref()),
            technique: asked.technique.unless_already(self.technique.as_ref()),
            findings: asked.findings.unless_already(self.findings.as_ref()),
            impression: asked.impression.unless_already(self.impression.as_ref()),
            sections: asked
                .sections
                .filter(|sections| self.sections.as_ref() != Some(sections)),
            structured_data: asked
                .structured_data
                .unless_already(self.structured_data.as_ref()),
        }
    }

    /// This content with changes laid over it.
    pub(super) fn merged_with(&self, changes: &ContentChanges) -> Self {
        let before = self.clone();
        let changes = changes.clone();
        Self {
            clinical_history: changes.clinical_history.apply(before.clinical_history),
            technique: changes.technique.apply(before.technique),
            findings: changes.findings.apply(before.findings),
            impression: changes.impression.apply(before.impression),
            sections: changes.sections.or(before.sections),
            structured_data: changes.structured_data.apply(before.structured_data),
        }
    }
}
