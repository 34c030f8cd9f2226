//! An event as the columns of an export.

use anyhow::anyhow;
use roentgen_store::log::StoredEvent;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is stored of an event, and its metadata taken apart.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) event: &'a StoredEvent,
    /// JSON.
    pub(super) actor: &'a str,
    pub(super) correlation_id: &'a str,
    pub(super) causation_id: Option<&'a str>,
}

/// [`EventMetadata`](roentgen_domain::EventMetadata) as it is stored, its parts kept to the byte.
#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    actor: &'a RawValue,
    correlation_id: &'a str,
    causation_id: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// An error names the position, and nothing of what stands there.
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

    /// As the feed says it to who does not ask for PHI.
    pub(super) fn phi(&self) -> &'static str {
        if self.event.sealed.is_empty() {
            "open"
        } else {
            "sealed"
        }
    }
}
