//! `ImagingAIModel`: a model of the catalog, what it can be asked for, and where it answers. Its id is derived from its
//! code, so a code is taken once.
//!
//! ```text
//! (none) --Create--> active <--Update--> inactive
//! ```

mod capabilities;
mod endpoint;

use serde::{Deserialize, Serialize};

pub use capabilities::{Capabilities, CapabilitiesPatch, TaskType};
pub use endpoint::{
    EndpointAuth, EndpointConfig, EndpointPatch, InvalidMaxAttempts, InvalidTimeoutMs, MaxAttempts,
    TimeoutMs,
};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::body_part::BodyPart;
use crate::change::Change;
use crate::codes::{AiModelCode, ModalityCode};
use crate::ids::{AiModelId, PatientId};
use crate::json::Members;
use crate::phi::Phi;
use crate::text::Text;
use crate::{domain_events, event_data_without_phi};

/// A model as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiModel {
    /// Never changes: the id is derived from it.
    pub code: AiModelCode,
    /// Display name.
    pub name: Text,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// The modality it was made for; any, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality_code: Option<ModalityCode>,
    /// The body part it was made for (DICOM 0018,0015); any, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// Supported task types.
    pub capabilities: Capabilities,
    /// Who makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<Text>,
    /// Vendor version. A resource's own `version` counts its events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_version: Option<Text>,
    /// Where it answers. Where the secret lies is never part of the resource.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "endpoint::without_secret"
    )]
    pub endpoint_config: Option<EndpointConfig>,
    /// Whether it can be asked.
    pub is_active: bool,
}

/// What may be asked of a model.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Adds it to the catalog.
    Create(Box<AiModel>),
    /// Changes what is given.
    Update(Box<Update>),
}

/// Changes as they are asked for: what is an object is a merge patch of it.
pub type Update = Changes<CapabilitiesPatch, EndpointPatch>;

/// Members to change. A member that is left out stays; `null` takes an optional one away. The code never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "C: Deserialize<'de>, E: Deserialize<'de>"))]
pub struct Changes<C = Capabilities, E = EndpointConfig> {
    /// A new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// A new description.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub description: Change<Text>,
    /// Another modality.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub modality_code: Change<ModalityCode>,
    /// Another body part.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub body_part: Change<BodyPart>,
    /// What it can do: an event tells all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<C>,
    /// Another vendor.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub vendor: Change<Text>,
    /// A new version of the vendor's.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub model_version: Change<Text>,
    /// Where it answers: an event tells all of it.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub endpoint_config: Change<E>,
    /// Whether the entry is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

domain_events! {
    /// What may happen to a model.
    pub enum Event {
        /// It was added to the catalog.
        Created(Created) = "ImagingAIModel.Created" v 1,
        /// Some of it changed.
        Updated(Updated) = "ImagingAIModel.Updated" v 2,
    }
}

/// `ImagingAIModel.Created`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Its id.
    pub ai_model_id: AiModelId,
    /// Never changes: the id is derived from it.
    pub code: AiModelCode,
    /// Display name.
    pub name: Text,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// The modality it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality_code: Option<ModalityCode>,
    /// The body part it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// Supported task types.
    pub capabilities: Capabilities,
    /// Who makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<Text>,
    /// Vendor version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_version: Option<Text>,
    /// Where it answers, and where the secret lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_config: Option<EndpointConfig>,
    /// Whether it can be asked.
    pub is_active: bool,
}

/// `ImagingAIModel.Updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// Its id.
    pub ai_model_id: AiModelId,
    /// What changed.
    #[serde(flatten)]
    pub changes: Changes,
}

event_data_without_phi!(Created, Updated);

/// Why a model refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The code is taken.
    #[error("an AI model with this code already exists")]
    AlreadyExists,
    /// There is none.
    #[error("AI model not found")]
    NotFound,
    /// Somewhere to answer without an address.
    #[error("an endpoint needs a url")]
    UrlMissing,
}

impl Aggregate for AiModel {
    const STREAM_TYPE: &'static str = "ImagingAIModel";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        match (state, command) {
            (None, Command::Create(model)) => Ok(vec![create(*model, context)]),
            (Some(_), Command::Create(_)) => Err(Error::AlreadyExists),
            (Some(model), Command::Update(asked)) => update(model, *asked, context),
            (None, Command::Update(_)) => Err(Error::NotFound),
        }
    }

    fn evolve(state: Option<Self>, event: Event) -> Result<Self, UnexpectedEvent> {
        match (state, event) {
            (None, Event::Created(created)) => Ok(created.into()),
            (Some(model), Event::Updated(updated)) => Ok(model.apply(updated.changes)),
            (Some(_), Event::Created(_)) => Err(UnexpectedEvent {
                event: "ImagingAIModel.Created",
            }),
            (None, Event::Updated(_)) => Err(UnexpectedEvent {
                event: "ImagingAIModel.Updated",
            }),
        }
    }

    fn phi(&self) -> Option<Phi<Members>> {
        None
    }

    fn patient_id(&self) -> Option<PatientId> {
        None
    }
}

fn create(model: AiModel, context: &Context) -> Event {
    Event::Created(Created {
        ai_model_id: AiModelId::derive(context.tenant_id, &model.code),
        code: model.code,
        name: model.name,
        description: model.description,
        modality_code: model.modality_code,
        body_part: model.body_part,
        capabilities: model.capabilities,
        vendor: model.vendor,
        model_version: model.model_version,
        endpoint_config: model.endpoint_config,
        is_active: model.is_active,
    })
}

impl From<Created> for AiModel {
    fn from(created: Created) -> Self {
        Self {
            code: created.code,
            name: created.name,
            description: created.description,
            modality_code: created.modality_code,
            body_part: created.body_part,
            capabilities: created.capabilities,
            vendor: created.vendor,
            model_version: created.model_version,
            endpoint_config: created.endpoint_config,
            is_active: created.is_active,
        }
    }
}

fn update(model: &AiModel, asked: Update, context: &Context) -> Result<Vec<Event>, Error> {
    let changes = asked.laid_over(model)?;
    if model.clone().apply(changes.clone()) == *model {
        return Ok(Vec::new());
    }
    let ai_model_id = AiModelId::derive(context.tenant_id, &model.code);
    Ok(vec![Event::Updated(Updated {
        ai_model_id,
        changes,
    })])
}

impl Update {
    /// The changes with whole objects in the place of their patches.
    fn laid_over(self, model: &AiModel) -> Result<Changes, Error> {
        let capabilities = self.capabilities;
        let endpoint = model.endpoint_config.as_ref();
        let patched = self
            .endpoint_config
            .try_map(|patch| patch.laid_over(endpoint));
        Ok(Changes {
            name: self.name,
            description: self.description,
            modality_code: self.modality_code,
            body_part: self.body_part,
            capabilities: capabilities.map(|patch| model.capabilities.clone().patched(patch)),
            vendor: self.vendor,
            model_version: self.model_version,
            endpoint_config: patched?,
            is_active: self.is_active,
        })
    }
}

/// No member changes. Derived, it would ask for defaults of the objects, too.
impl<C, E> Default for Changes<C, E> {
    fn default() -> Self {
        Self {
            name: None,
            description: Change::Keep,
            modality_code: Change::Keep,
            body_part: Change::Keep,
            capabilities: None,
            vendor: Change::Keep,
            model_version: Change::Keep,
            endpoint_config: Change::Keep,
            is_active: None,
        }
    }
}

impl AiModel {
    /// Whether it was made for such images. What either side leaves open matches; words match in any case.
    pub fn matches(&self, modality: Option<&ModalityCode>, body_part: Option<&BodyPart>) -> bool {
        let modality_fits = match (&self.modality_code, modality) {
            (Some(own), Some(asked)) => own == asked,
            (None, _) | (_, None) => true,
        };
        let body_part_fits = match (&self.body_part, body_part) {
            (Some(own), Some(asked)) => own.matches(asked),
            (None, _) | (_, None) => true,
        };
        modality_fits && body_part_fits
    }

    /// What the system asks it for by itself when a study arrives.
    pub fn automatic_tasks(&self) -> impl Iterator<Item = TaskType> {
        let all = TaskType::ALL.iter().copied();
        all.filter(|task_type| task_type.is_automatic() && self.capabilities.supports(*task_type))
    }

    fn apply(self, changes: Changes) -> Self {
        Self {
            code: self.code,
            name: changes.name.unwrap_or(self.name),
            description: changes.description.apply(self.description),
            modality_code: changes.modality_code.apply(self.modality_code),
            body_part: changes.body_part.apply(self.body_part),
            capabilities: changes.capabilities.unwrap_or(self.capabilities),
            vendor: changes.vendor.apply(self.vendor),
            model_version: changes.model_version.apply(self.model_version),
            endpoint_config: changes.endpoint_config.apply(self.endpoint_config),
            is_active: changes.is_active.unwrap_or(self.is_active),
        }
    }
}

#[cfg(test)]
mod tests;
