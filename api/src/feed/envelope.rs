//! One event's envelope (contract, section 5), laid together from the stored bytes.

use std::borrow::Cow;
use std::io::Write as _;

use roentgen_domain::ids::PatientId;
use roentgen_store::StoreError;
use roentgen_store::chain::hex;
use roentgen_store::keys::Keyring;
use roentgen_store::log::StoredEvent;
use serde::Deserialize;

use super::opened::Opened;
use crate::problem::Problem;

/// Appends the envelope as one line of JSON, without the line's end.
pub(super) async fn write(
    out: &mut Vec<u8>,
    event: &StoredEvent,
    phi: Opened,
    keyring: &Keyring,
) -> Result<(), Problem> {
    let opened = match phi.has(&event.event_type) && !event.sealed.is_empty() {
        true => Some(open(event, keyring).await?),
        false => None,
    };
    let (data, state) = match opened {
        Some(Some(phi)) => (Cow::Owned(merged(&event.payload, &phi)), "open"),
        Some(None) => (Cow::Borrowed(event.payload.as_str()), "erased"),
        None if event.sealed.is_empty() => (Cow::Borrowed(event.payload.as_str()), "open"),
        None => (Cow::Borrowed(event.payload.as_str()), "sealed"),
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

/// A JSON object's members, without its braces.
fn members(object: &str) -> &str {
    object
        .trim()
        .strip_prefix('{')
        .and_then(|it| it.strip_suffix('}'))
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
struct AboutPatient {
    patient_id: PatientId,
}

/// The event's PHI members as JSON; `None` where the patient's key is destroyed.
async fn open(event: &StoredEvent, keyring: &Keyring) -> Result<Option<String>, Problem> {
    let about: AboutPatient =
        serde_json::from_str(&event.payload).map_err(|error| Problem::internal(&error))?;
    let key = keyring
        .key(event.tenant_id, about.patient_id)
        .await
        .map_err(StoreError::Keys)?;
    let Some(key) = key else { return Ok(None) };
    let opened = key.open(&event.sealed, event.stream_id, event.version);
    let opened = opened.map_err(|error| Problem::internal(&error))?;
    Ok(opened.and_then(|it| String::from_utf8(it).ok()))
}
