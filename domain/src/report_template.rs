//! `RadiologyReportTemplate`: default text and structured data schema for reports. The id is derived from the code, so
//! a code is unique. A template has no patient data.

mod default_text;
mod schema;

use serde::{Deserialize, Serialize};

pub use default_text::{DefaultText, DefaultTextError, DefaultTextPatch};
pub use schema::{Schema, SchemaPatch};

use crate::body_part::BodyPart;
use crate::catalog::{CatalogEntry, EntryNames};
use crate::change::Change;
use crate::codes::{ModalityCode, TemplateCode};
use crate::ids::{TemplateId, TenantId};
use crate::json::JsonLimitError;
use crate::text::Text;
use crate::wire_enum;

/// State of a report template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportTemplate {
    /// Code; never changes, because the id is derived from it.
    pub code: TemplateCode,
    /// Display name.
    pub name: Text,
    /// Modality; `None` matches any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality_code: Option<ModalityCode>,
    /// Body part; `None` matches any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Kind of report content.
    pub template_type: TemplateType,
    /// Schema that structured data must satisfy when a report becomes final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
    /// Default text of a new report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_text: Option<DefaultText>,
    /// Whether reports can be created from the template.
    pub is_active: bool,
}

/// Kind of report content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateType {
    /// Text.
    FreeText,
    /// Structured data.
    Structured,
    /// Text and structured data.
    Hybrid,
}

wire_enum! {
    TemplateType: FreeText = "free_text", Structured = "structured", Hybrid = "hybrid";
}

impl TemplateType {
    /// Returns whether reports of this type have structured data.
    pub const fn is_structured(self) -> bool {
        match self {
            Self::FreeText => false,
            Self::Structured | Self::Hybrid => true,
        }
    }
}

/// Requested changes: object members are merge patches.
pub type Update = Changes<SchemaPatch, DefaultTextPatch>;

/// Members to change. An omitted member is unchanged; `null` removes an optional member. The code never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>, D: Deserialize<'de>"))]
pub struct Changes<S = Schema, D = DefaultText> {
    /// New name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// New modality.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub modality_code: Change<ModalityCode>,
    /// New body part.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub body_part: Change<BodyPart>,
    /// New description.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub description: Change<Text>,
    /// New kind of report content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_type: Option<TemplateType>,
    /// New schema; events have the complete schema.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub schema: Change<S>,
    /// New default text; events have the complete text.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub default_text: Change<D>,
    /// Whether the entry is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

/// Reasons why a template is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Structured or hybrid template without a schema.
    #[error("structured and hybrid templates require a schema")]
    SchemaMissing,
    /// Schema that cannot be stored after the change.
    #[error("after the change, schema {0}")]
    Schema(JsonLimitError),
    /// Default text that cannot be stored after the change.
    #[error("after the change, default_text {0}")]
    DefaultText(DefaultTextError),
}

impl CatalogEntry for ReportTemplate {
    const NAMES: EntryNames = EntryNames {
        stream_type: "RadiologyReportTemplate",
        created: ("RadiologyReportTemplate.Created", 1),
        updated: ("RadiologyReportTemplate.Updated", 2),
        id: "template_id",
        already_exists: "a template with this code already exists",
        not_found: "template not found",
    };

    type Id = TemplateId;
    type Recorded = Self;
    type Changes = Changes;
    type Update = Update;
    type Invalid = Invalid;

    fn id(&self, tenant: TenantId) -> TemplateId {
        TemplateId::derive(tenant, &self.code)
    }

    fn merge(&self, update: Update) -> Result<Changes, Invalid> {
        update.laid_over(self)
    }

    fn apply(self, changes: Changes) -> Self {
        Self {
            code: self.code,
            name: changes.name.unwrap_or(self.name),
            modality_code: changes.modality_code.apply(self.modality_code),
            body_part: changes.body_part.apply(self.body_part),
            description: changes.description.apply(self.description),
            template_type: changes.template_type.unwrap_or(self.template_type),
            schema: changes.schema.apply(self.schema),
            default_text: changes.default_text.apply(self.default_text),
            is_active: changes.is_active.unwrap_or(self.is_active),
        }
    }

    fn validate(&self) -> Result<(), Invalid> {
        if self.template_type.is_structured() && self.schema.is_none() {
            return Err(Invalid::SchemaMissing);
        }
        Ok(())
    }

    fn unshown_bytes(&self) -> usize {
        self.schema.as_ref().map_or(0, Schema::memory)
    }
}

impl Update {
    /// Returns the changes with merge patches replaced by the merged values.
    fn laid_over(self, template: &ReportTemplate) -> Result<Changes, Invalid> {
        let schema = template.schema.as_ref();
        let schema = self.schema.try_map(|patch| patch.laid_over(schema));
        let default_text = template.default_text.as_ref();
        let default_text = self
            .default_text
            .try_map(|patch| patch.laid_over(default_text));
        Ok(Changes {
            name: self.name,
            modality_code: self.modality_code,
            body_part: self.body_part,
            description: self.description,
            template_type: self.template_type,
            schema: schema.map_err(Invalid::Schema)?,
            default_text: default_text.map_err(Invalid::DefaultText)?,
            is_active: self.is_active,
        })
    }
}

/// No changes. A derive would require `Default` of the type parameters.
impl<S, D> Default for Changes<S, D> {
    fn default() -> Self {
        Self {
            name: None,
            modality_code: Change::Keep,
            body_part: Change::Keep,
            description: Change::Keep,
            template_type: None,
            schema: Change::Keep,
            default_text: Change::Keep,
            is_active: None,
        }
    }
}

impl ReportTemplate {
    /// Returns whether the template applies to a study with this modality and body part. A missing value on either side
    /// matches any; case is ignored.
    pub fn applies_to(
        &self,
        modality: Option<&ModalityCode>,
        body_part: Option<&BodyPart>,
    ) -> bool {
        let modality_fits = match (&self.modality_code, modality) {
            (Some(own), Some(studys)) => own == studys,
            (None, _) | (_, None) => true,
        };
        let body_part_fits = match (&self.body_part, body_part) {
            (Some(own), Some(studys)) => own.matches(studys),
            (None, _) | (_, None) => true,
        };
        modality_fits && body_part_fits
    }

    /// Returns the schema that the structured data of a final report must satisfy.
    pub fn enforced_schema(&self) -> Option<&Schema> {
        self.schema
            .as_ref()
            .filter(|_| self.template_type.is_structured())
    }
}

#[cfg(test)]
mod tests;
