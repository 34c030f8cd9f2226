//! Event metadata: actor, correlation and causation.

use serde::{Deserialize, Serialize};

use crate::codec_error::EncodeError;
use crate::ids::{CorrelationId, EventId, PractitionerId};

/// The actor, as stated by the token at the time of the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Subject of the token; `system` for the system itself.
    pub sub: String,
    /// The practitioner named by the token, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner_id: Option<PractitionerId>,
    /// Roles of the token.
    pub roles: Vec<String>,
    /// Display name from the token, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Actor {
    /// Subject of the system itself; no token may contain it.
    pub const SYSTEM: &'static str = "system";

    /// Returns the system as actor, for policies and timeouts.
    pub fn system() -> Self {
        Self {
            sub: Self::SYSTEM.to_owned(),
            practitioner_id: None,
            roles: Vec::new(),
            name: None,
        }
    }
}

/// An event's metadata as stored: the members `actor`, `correlation_id` and `causation_id` of its envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMetadata {
    /// The actor.
    pub actor: Actor,
    /// The originating request; constant through all consequences.
    pub correlation_id: CorrelationId,
    /// The event that caused this event, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<EventId>,
}

impl EventMetadata {
    /// Returns the metadata as JSON, as it is stored with the event.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the metadata cannot be serialised.
    pub fn to_json(&self) -> Result<String, EncodeError> {
        let event_type = "metadata";
        serde_json::to_string(self).map_err(|_| EncodeError { event_type })
    }
}
