//! `RadiologyReportTemplate`: default text and structured data schema for reports. The id is derived from the code, so
//! a code is unique. A template has no patient data.
//!
//! ```text
//! (none) --Create--> active <--Update--> inactive
//! ```

mod default_text;
mod schema;

use serde::{Deserialize, Serialize};

pub use default_text::{DefaultText, DefaultTextError, DefaultTextPatch};
pub use schema::{Schema, SchemaPatch};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::body_part::BodyPart;
use crate::change::Change;
use crate::codes::{ModalityCode, TemplateCode};
use crate::ids::{PatientId, TemplateId};
use crate::json::{JsonLimitError, Members};
use crate::phi::Phi;
use crate::text::Text;
use crate::{domain_events, event_data_without_phi, wire_enum};

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

/// Commands of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Adds the template to the catalog.
    Create(Box<ReportTemplate>),
    /// Changes the given members.
    Update(Box<Update>),
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

domain_events! {
    /// Events of a template.
    pub enum Event {
        /// Added to the catalog.
        Created(Box<Created>) = "RadiologyReportTemplate.Created" v 1,
        /// Members changed.
        Updated(Box<Updated>) = "RadiologyReportTemplate.Updated" v 2,
    }
}

/// `RadiologyReportTemplate.Created`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Template id.
    pub template_id: TemplateId,
    /// Complete template.
    #[serde(flatten)]
    pub template: ReportTemplate,
}

/// `RadiologyReportTemplate.Updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// Template id.
    pub template_id: TemplateId,
    /// Changed members.
    #[serde(flatten)]
    pub changes: Changes,
}

event_data_without_phi!(Created, Updated);

/// Domain errors of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The code is in use.
    #[error("a template with this code already exists")]
    AlreadyExists,
    /// The template does not exist.
    #[error("template not found")]
    NotFound,
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

impl Aggregate for ReportTemplate {
    const STREAM_TYPE: &'static str = "RadiologyReportTemplate";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        match (state, command) {
            (None, Command::Create(template)) => create(*template, context),
            (Some(_), Command::Create(_)) => Err(Error::AlreadyExists),
            (Some(template), Command::Update(asked)) => update(template, *asked, context),
            (None, Command::Update(_)) => Err(Error::NotFound),
        }
    }

    fn evolve(state: Option<Self>, event: Event) -> Result<Self, UnexpectedEvent> {
        match (state, event) {
            (None, Event::Created(created)) => Ok(created.template),
            (Some(template), Event::Updated(updated)) => Ok(template.apply(updated.changes)),
            (Some(_), Event::Created(_)) => Err(UnexpectedEvent {
                event: "RadiologyReportTemplate.Created",
            }),
            (None, Event::Updated(_)) => Err(UnexpectedEvent {
                event: "RadiologyReportTemplate.Updated",
            }),
        }
    }

    fn phi(&self) -> Option<Phi<Members>> {
        None
    }

    fn unshown_bytes(&self) -> usize {
        self.schema.as_ref().map_or(0, Schema::memory)
    }

    fn patient_id(&self) -> Option<PatientId> {
        None
    }
}

fn create(template: ReportTemplate, context: &Context) -> Result<Vec<Event>, Error> {
    template.validate()?;
    let template_id = TemplateId::derive(context.tenant_id, &template.code);
    Ok(vec![Event::Created(Box::new(Created {
        template_id,
        template,
    }))])
}

fn update(
    template: &ReportTemplate,
    asked: Update,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    let changes = asked.laid_over(template)?;
    let after = template.clone().apply(changes.clone());
    after.validate()?;
    if after == *template {
        return Ok(Vec::new());
    }
    let template_id = TemplateId::derive(context.tenant_id, &template.code);
    Ok(vec![Event::Updated(Box::new(Updated {
        template_id,
        changes,
    }))])
}

impl Update {
    /// Returns the changes with merge patches replaced by the merged values.
    fn laid_over(self, template: &ReportTemplate) -> Result<Changes, Error> {
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
            schema: schema.map_err(Error::Schema)?,
            default_text: default_text.map_err(Error::DefaultText)?,
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
    fn validate(&self) -> Result<(), Error> {
        if self.template_type.is_structured() && self.schema.is_none() {
            return Err(Error::SchemaMissing);
        }
        Ok(())
    }

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
}

#[cfg(test)]
mod tests;
