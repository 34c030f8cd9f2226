//! `ImagingAIModel`: an AI model of the catalog with its capabilities and its endpoint. The id is derived from the
//! code, so each code is unique.

mod capabilities;
mod endpoint;

use serde::{Deserialize, Serialize};

pub use capabilities::{Capabilities, CapabilitiesPatch, TaskType};
pub use endpoint::{
    EndpointAuth, EndpointConfig, EndpointPatch, InvalidMaxAttempts, InvalidTimeoutMs, MaxAttempts,
    TimeoutMs,
};

use crate::body_part::BodyPart;
use crate::catalog::{CatalogEntry, EntryNames};
use crate::change::Change;
use crate::codes::{AiModelCode, ModalityCode};
use crate::ids::{AiModelId, TenantId};
use crate::text::Text;

/// Current state of an AI model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiModel {
    /// Immutable: the id is derived from the code.
    pub code: AiModelCode,
    /// Display name.
    pub name: Text,
    /// Free-text description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Modality that the model supports; any modality if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality_code: Option<ModalityCode>,
    /// Body part that the model supports (DICOM 0018,0015); any body part if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// Supported task types.
    pub capabilities: Capabilities,
    /// Vendor name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<Text>,
    /// Vendor version. The `version` of the resource counts its events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_version: Option<Text>,
    /// Inference endpoint. The resource never contains the id of its secret.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "endpoint::without_secret"
    )]
    pub endpoint_config: Option<EndpointConfig>,
    /// Whether the model accepts tasks.
    pub is_active: bool,
}

/// Requested changes; objects are merge patches.
pub type Update = Changes<CapabilitiesPatch, EndpointPatch>;

/// Members to change. An omitted member is unchanged; `null` removes an optional member. The code is immutable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "C: Deserialize<'de>, E: Deserialize<'de>"))]
pub struct Changes<C = Capabilities, E = EndpointConfig> {
    /// New name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// New description.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub description: Change<Text>,
    /// New modality.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub modality_code: Change<ModalityCode>,
    /// New body part.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub body_part: Change<BodyPart>,
    /// New capabilities; an event contains the complete object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<C>,
    /// New vendor name.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub vendor: Change<Text>,
    /// New vendor version.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub model_version: Change<Text>,
    /// New endpoint; an event contains the complete object.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub endpoint_config: Change<E>,
    /// Whether the entry is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

/// Reasons why an AI model is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The endpoint has no URL.
    #[error("an endpoint needs a url")]
    UrlMissing,
}

impl CatalogEntry for AiModel {
    const NAMES: EntryNames = EntryNames {
        stream_type: "ImagingAIModel",
        created: ("ImagingAIModel.Created", 1),
        updated: ("ImagingAIModel.Updated", 2),
        id: "ai_model_id",
        already_exists: "an AI model with this code already exists",
        not_found: "AI model not found",
    };

    type Id = AiModelId;
    type Recorded = Recorded;
    type Changes = Changes;
    type Update = Update;
    type Invalid = Invalid;

    fn id(&self, tenant: TenantId) -> AiModelId {
        AiModelId::derive(tenant, &self.code)
    }

    fn merge(&self, update: Update) -> Result<Changes, Invalid> {
        update.laid_over(self)
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

/// `ImagingAIModel.Created`: the model, and its endpoint with the id of the secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded {
    #[serde(flatten)]
    model: AiModel,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint_config: Option<EndpointConfig>,
}

impl From<AiModel> for Recorded {
    fn from(mut model: AiModel) -> Self {
        let endpoint_config = model.endpoint_config.take();
        Self {
            model,
            endpoint_config,
        }
    }
}

impl From<Recorded> for AiModel {
    fn from(recorded: Recorded) -> Self {
        Self {
            endpoint_config: recorded.endpoint_config,
            ..recorded.model
        }
    }
}

impl Update {
    /// Replaces the patches in the changes by complete objects.
    fn laid_over(self, model: &AiModel) -> Result<Changes, Invalid> {
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

/// No member changes. A derived `Default` would require defaults of both type parameters.
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
    /// Returns whether the model supports these images. A member that is absent on either side matches; text is
    /// compared case-insensitively.
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

    /// Returns the task types that the system requests automatically when a study arrives.
    pub fn automatic_tasks(&self) -> impl Iterator<Item = TaskType> {
        let all = TaskType::ALL.iter().copied();
        all.filter(|task_type| task_type.is_automatic() && self.capabilities.supports(*task_type))
    }
}

#[cfg(test)]
mod tests;
