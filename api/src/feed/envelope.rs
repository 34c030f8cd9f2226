//! Envelope of one event (contract, section 5), assembled from the stored bytes.

use std::borrow::Cow;
use std::io::Write as _;

use roentgen_domain::ids::PatientId;
use roentgen_store::StoreError;
use roentgen_store::chain::hex;
use roentgen_store::error::KeyError;
use roentgen_store::keys::Keyring;
use roentgen_store::log::StoredEvent;
use serde::Deserialize;

use super::phi_visibility;
use crate::problem::Problem;
use crate::render::{OpenedPhi, PhiState, unreadable};

/// Appends the envelope as one line of JSON, without a newline.
pub(super) async fn write(
    out: &mut Vec<u8>,
    event: &StoredEvent,
    phi: phi_visibility::PhiVisibility,
    keyring: &Keyring,
) -> Result<(), Problem> {
    let opened = if phi.includes(&event.event_type) && !event.sealed.is_empty() {
        Some(open(event, keyring).await?)
    } else {
        None
    };
    let payload = Cow::Borrowed(event.payload.as_str());
    let (data, state) = match opened {
        Some(OpenedPhi::Open(phi)) => (Cow::Owned(merged(&event.payload, &phi)), PhiState::Open),
        Some(OpenedPhi::Unavailable(state)) => (payload, state),
        Some(OpenedPhi::Damaged) => (payload, PhiState::Unreadable),
        None if event.sealed.is_empty() => (payload, PhiState::Open),
        None => (payload, PhiState::Sealed),
    };
    let written = write!(
        out,
        r#"{{"id":"{}","position":{},"tenant_id":"{}","stream":{{"type":"{}","id":"{}"}},"version":{},"type":"{}","schema_version":{},"recorded_at":"{}",{},"data":{data},"phi":"{state}","hash":"{}"}}"#,
        event.event_id,
        event.position,
        event.tenant_id,
        event.stream_type,
        event.stream_id,
        event.version,
        event.event_type,
        event.schema_version,
        event.recorded_at(),
        members(&event.metadata),
        hex(&event.hash),
    );
    written.map_err(|error| Problem::internal(&error))
}

/// Returns the members of a JSON object, without its braces.
fn members(object: &str) -> &str {
    object
        .trim()
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .unwrap_or_default()
}

fn merged(payload: &str, phi: &str) -> String {
    match (members(payload), members(phi)) {
        (open, "") => format!("{{{open}}}"),
        ("", sealed) => format!("{{{sealed}}}"),
        (open, sealed) => format!("{{{open},{sealed}}}"),
    }
}

#[derive(Deserialize)]
struct PatientRef {
    patient_id: PatientId,
}

/// Decrypts the event's PHI members as JSON. Corrupt PHI is not an error, so that readers of the feed can continue.
async fn open(event: &StoredEvent, keyring: &Keyring) -> Result<OpenedPhi<String>, Problem> {
    let about: PatientRef =
        serde_json::from_str(&event.payload).map_err(|error| Problem::internal(&error))?;
    let keys = match keyring.keys(event.tenant_id, about.patient_id).await {
        Ok(keys) => keys,
        Err(error @ KeyError::CorruptPatientKey) => return Ok(unreadable(event.stream_id, &error)),
        Err(error) => return Err(StoreError::Keys(error).into()),
    };
    match keys.open(&event.sealed, event.stream_id, event.version) {
        Ok(phi) => Ok(OpenedPhi::folded(
            phi.and_then(|phi| String::from_utf8(phi).ok()),
        )),
        Err(error) => Ok(unreadable(event.stream_id, &error)),
    }
}
