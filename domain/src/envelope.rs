//! What stands around an event: who, why, and since when.

use serde::{Deserialize, Serialize};

use crate::aggregate::EncodeError;
use crate::ids::{CorrelationId, EventId, PractitionerId};

/// Who did it, as the token said at the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The token's subject; `system` for the system's own.
    pub sub: String,
    /// The practitioner behind the token, where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner_id: Option<PractitionerId>,
    /// The token's roles.
    pub roles: Vec<String>,
    /// A name to show, where the token gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Actor {
    /// The subject of the system itself, which no token may name.
    pub const SYSTEM: &'static str = "system";

    /// The system itself: policies, time-outs.
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
    /// Who did it.
    pub actor: Actor,
    /// What set it in motion; constant through every consequence.
    pub correlation_id: CorrelationId,
    /// The event that caused it, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<EventId>,
}

impl EventMetadata {
    /// Returns the metadata as JSON, as it is stored with the event.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if it cannot be serialised.
    pub fn to_json(&self) -> Result<String, EncodeError> {
        let event_type = "metadata";
        serde_json::to_string(self).map_err(|_| EncodeError { event_type })
    }
}
