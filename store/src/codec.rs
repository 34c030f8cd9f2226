//! Conversion between domain events and stored events.

use std::time::Instant;

use roentgen_domain::aggregate::EventHeader;
use roentgen_domain::growth::Size;
use roentgen_domain::ids::{PatientId, StreamId, TenantId};
use roentgen_domain::{Aggregate, DomainEvent, Versioned};

use crate::clock;
use crate::error::{EventReadError, EventWriteError, StoreError};
use crate::keys::{Keyring, PatientKey, PatientKeys};
use crate::log::{NewEvent, StoredEvent};
use crate::pace::YieldPacer;

/// The tenant, stream and version under which an event is stored.
#[derive(Debug, Clone, Copy)]
pub struct EventAddress {
    /// Tenant of the event.
    pub tenant_id: TenantId,
    /// Stream id.
    pub stream_id: StreamId,
    /// Version of the event in its stream, from 1.
    pub version: u64,
}

/// Encodes a domain event for storage: its payload in plain text, its PHI encrypted with `key`. `metadata` is the JSON
/// of [`EventMetadata`](roentgen_domain::EventMetadata).
///
/// # Errors
///
/// [`EventWriteError::KeyMissing`] if the event has PHI and `key` is `None`: PHI is neither dropped nor stored in plain
/// text. [`EventWriteError::Encode`] if its data cannot be serialised.
pub fn encode<A: Aggregate>(
    event: &A::Event,
    place: EventAddress,
    metadata: String,
    key: Option<&PatientKey>,
) -> Result<NewEvent, EventWriteError> {
    let event_type = event.event_type();
    let sealed = match (event.phi()?, key) {
        (Some(phi), Some(key)) => key.seal(phi.expose(), place.stream_id, place.version),
        (Some(_), None) => return Err(EventWriteError::KeyMissing { event_type }),
        (None, _) => Vec::new(),
    };
    Ok(NewEvent {
        event_id: clock::fresh_id().into(),
        tenant_id: place.tenant_id,
        stream_type: A::STREAM_TYPE,
        stream_id: place.stream_id,
        version: place.version,
        event_type,
        schema_version: event.schema_version(),
        payload: event.payload()?,
        sealed,
        metadata,
    })
}

/// Decodes a stored event and opens its PHI with `keys`. Without keys the PHI stays sealed.
///
/// # Errors
///
/// [`EventReadError::Decode`] if this release cannot decode it, [`EventReadError::Seal`] if its PHI cannot be opened.
pub fn decode<A: Aggregate>(
    event: &StoredEvent,
    keys: Option<&PatientKeys>,
) -> Result<A::Event, EventReadError> {
    let phi = match keys {
        Some(keys) if !event.sealed.is_empty() => {
            keys.open(&event.sealed, event.stream_id, event.version)?
        }
        Some(_) | None => None,
    };
    let payload = event.payload.as_bytes();
    Ok(A::Event::decode(
        &event.event_type,
        event.schema_version,
        payload,
        phi.as_deref(),
    )?)
}

/// Applies one more stored event to an aggregate.
///
/// # Errors
///
/// [`EventReadError`] as for [`decode`], and if the event is not valid in this state.
pub fn evolve<A: Aggregate>(
    before: Option<Versioned<A>>,
    event: &StoredEvent,
    keys: Option<&PatientKeys>,
) -> Result<Versioned<A>, EventReadError> {
    let standing = EventHeader {
        stream_id: event.stream_id,
        tenant_id: event.tenant_id,
        version: event.version,
        recorded_at: event.recorded_at(),
        size: Size::measure(&event.payload, &event.sealed),
    };
    Ok(Versioned::evolve(
        before,
        decode::<A>(event, keys)?,
        standing,
    )?)
}

/// The result of folding a stream.
#[derive(Debug)]
pub struct Folded<A> {
    /// The aggregate; `None` if the stream has no events.
    pub resource: Option<Versioned<A>>,
    /// When the key that opened the PHI was read ([`PatientKey::seen`]); `None` if no key was needed.
    pub key_seen: Option<Instant>,
}

/// Folds events of one stream, starting from `before`. PHI is opened unless its key was deleted on purpose. Without a
/// keyring the PHI stays sealed.
///
/// # Errors
///
/// [`StoreError::Unreadable`] names the event that cannot be read. Its source is
/// [`SealError::KeyMissing`](crate::error::SealError::KeyMissing) if a key neither exists nor has a tombstone.
/// [`StoreError::Keys`] if the key lookup fails.
pub async fn fold<A: Aggregate>(
    before: Option<Versioned<A>>,
    events: &[StoredEvent],
    keyring: Option<&Keyring>,
) -> Result<Folded<A>, StoreError> {
    let keys = match (keyring, patient_of::<A>(events)) {
        (Some(keyring), Some((tenant, patient))) => Some(keyring.keys(tenant, patient).await?),
        (Some(_) | None, _) => None,
    };
    let mut state = before;
    let pace = YieldPacer::begin();
    for event in events {
        pace.rest().await;
        let next =
            evolve(state, event, keys.as_ref()).map_err(|source| StoreError::Unreadable {
                stream_id: event.stream_id,
                version: event.version,
                source,
            })?;
        state = Some(next);
    }
    Ok(Folded {
        resource: state,
        key_seen: keys.as_ref().and_then(PatientKeys::seen),
    })
}

/// Returns the patient whose key sealed the first sealed event.
pub(crate) fn patient_of<A: Aggregate>(events: &[StoredEvent]) -> Option<(TenantId, PatientId)> {
    let event = events.iter().find(|event| !event.sealed.is_empty())?;
    let patient = decode::<A>(event, None).ok()?.patient_id()?;
    Some((event.tenant_id, patient))
}

#[cfg(test)]
mod tests {
    use roentgen_domain::order::{Event, Order};
    use uuid::Uuid;

    use super::*;

    fn cancelled(phi: Option<&[u8]>) -> Event {
        let payload = br#"{"order_id":"00000000-0000-0000-0000-000000000003",
            "patient_id":"00000000-0000-0000-0000-000000000007"}"#;
        Event::decode("ImagingOrder.Cancelled", 1, payload, phi).unwrap()
    }

    fn encoded(event: &Event) -> Result<NewEvent, EventWriteError> {
        let address = EventAddress {
            tenant_id: Uuid::nil().into(),
            stream_id: Uuid::nil().into(),
            version: 1,
        };
        encode::<Order>(event, address, "{}".to_owned(), None)
    }

    #[test]
    fn phi_without_a_key_is_an_error() {
        let event_type = "ImagingOrder.Cancelled";
        assert_eq!(
            encoded(&cancelled(Some(br#"{"cancellation_reason":"moved"}"#))).err(),
            Some(EventWriteError::KeyMissing { event_type })
        );
        assert!(encoded(&cancelled(None)).unwrap().sealed.is_empty());
    }
}
