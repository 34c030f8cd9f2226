//! Content of a report: the four standard sections, the template sections, and structured data.

use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::codes::SectionCode;
use crate::json::Json;
use crate::phi::{Metadata, PhiText};
use crate::report_template::DefaultText;

/// Template section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Section code within the report.
    pub code: SectionCode,
    /// Text; `None` for an empty section that is to be filled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<PhiText>,
}

/// Report content. All of it is PHI.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Clinical history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clinical_history: Option<PhiText>,
    /// Technique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technique: Option<PhiText>,
    /// Findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<PhiText>,
    /// Impression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impression: Option<PhiText>,
    /// Template sections, as a complete list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sections: Option<Vec<Section>>,
    /// Structured data; replaces the stored value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_data: Option<Metadata>,
}

/// Content written by a radiologist: the report content, and the AI content that the radiologist keeps.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AuthoredContent {
    /// Content to be signed.
    #[serde(flatten)]
    pub content: Content,
    /// AI content about the study. Never part of the report content: it is neither signed nor released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_assist_summary: Option<PhiText>,
}

/// Changes of report content. All of it is PHI.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContentChanges {
    /// Clinical history.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub clinical_history: Change<PhiText>,
    /// Technique.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub technique: Change<PhiText>,
    /// Findings.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub findings: Change<PhiText>,
    /// Impression.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub impression: Change<PhiText>,
    /// Template sections, as a complete list. Sections are emptied individually and never removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sections: Option<Vec<Section>>,
    /// Structured data; replaces the stored value.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub structured_data: Change<Metadata>,
}

/// Changes made by a radiologist to the written content.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ContentEdit {
    /// Content to be signed.
    #[serde(flatten)]
    pub content: ContentChanges,
    /// AI content that the radiologist keeps.
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub ai_assist_summary: Change<PhiText>,
}

/// Member next to the content. serde's own `flatten` reads numbers as doubles.
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
    /// Returns the member of a standard section; `None` for any other code.
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
    /// Returns this content with the template's default text for empty members.
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

    /// Returns the member of a standard section; `None` for any other code.
    fn member(&mut self, code: &SectionCode) -> Option<&mut Option<PhiText>> {
        match code.as_str() {
            "clinical_history" => Some(&mut self.clinical_history),
            "technique" => Some(&mut self.technique),
            "findings" => Some(&mut self.findings),
            "impression" => Some(&mut self.impression),
            _ => None,
        }
    }

    /// Returns all sections that exist, in reading order: the standard sections, then the template sections.
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

    /// Returns the members of `asked` that differ from this content.
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

    /// Returns this content with the changes merged into it.
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
