//! Event as the columns of an export.

use anyhow::anyhow;
use roentgen_store::log::StoredEvent;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Stored event with its metadata parsed.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) event: &'a StoredEvent,
    /// JSON text.
    pub(super) actor: &'a str,
    pub(super) correlation_id: &'a str,
    pub(super) causation_id: Option<&'a str>,
}

/// [`EventMetadata`](roentgen_domain::EventMetadata) as stored; its members keep their exact bytes.
#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    actor: &'a RawValue,
    correlation_id: &'a str,
    causation_id: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// Parses the metadata. An error names the position and no content.
    pub(super) fn from_event(event: &'a StoredEvent) -> anyhow::Result<Self> {
        let metadata: Metadata<'a> = serde_json::from_str(&event.metadata).map_err(|_| {
            anyhow!(
                "malformed metadata at position {}; run roentgen verify",
                event.position
            )
        })?;
        Ok(Self {
            event,
            actor: metadata.actor.get(),
            correlation_id: metadata.correlation_id,
            causation_id: metadata.causation_id,
        })
    }

    /// Returns the PHI state as the feed reports it without PHI access.
    pub(super) fn phi(&self) -> &'static str {
        if self.event.sealed.is_empty() {
            "open"
        } else {
            "sealed"
        }
    }
}
