//! Between domain events and stored ones.

use std::time::Instant;

use roentgen_domain::aggregate::EventHeader;
use roentgen_domain::growth::Size;
use roentgen_domain::ids::{PatientId, StreamId, TenantId};
use roentgen_domain::{
    Aggregate, DecodeError, DomainEvent, EncodeError, UnexpectedEvent, Versioned,
};

use crate::clock;
use crate::error::StoreError;
use crate::keys::{Keyring, PatientKey, PatientKeys, SealError};
use crate::log::{NewEvent, StoredEvent};
use crate::pace::YieldPacer;

/// Why a stored event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventReadError {
    /// Its shape is not known here, or not as it should be.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It stands where none of its kind can.
    #[error(transparent)]
    Misplaced(#[from] UnexpectedEvent),
    /// Its sealed part is damaged.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Why an event cannot be stored. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventWriteError {
    /// Its data cannot be serialised.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// It has PHI, and there is no key to encrypt it with.
    #[error("{event_type}: PHI without a patient key")]
    KeyMissing {
        /// The frozen name of the event type.
        event_type: &'static str,
    },
}

/// Where an event is to stand.
#[derive(Debug, Clone, Copy)]
pub struct EventAddress {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The stream.
    pub stream_id: StreamId,
    /// The version it takes, from 1.
    pub version: u64,
}

/// Returns a domain event as it is stored: its payload open, its PHI encrypted with `key`. `metadata` is the JSON of
/// [`EventMetadata`](roentgen_domain::EventMetadata).
///
/// # Errors
///
/// [`EventWriteError::KeyMissing`] if the event has PHI and there is no key, so that PHI is neither lost nor stored open;
/// [`EventWriteError::Encode`] if its data cannot be serialised.
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

/// Returns a stored event as a domain event, its PHI opened with `keys`; without keys its PHI stays closed.
///
/// # Errors
///
/// [`EventReadError::Decode`] if this release cannot decode it, [`EventReadError::Seal`] if its PHI does not open.
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

/// Returns the resource after one more stored event.
///
/// # Errors
///
/// [`EventReadError`] as [`decode`], and if the event cannot follow in this state.
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

/// What a stream's events make.
#[derive(Debug)]
pub struct Folded<A> {
    /// The resource, if there was any event.
    pub resource: Option<Versioned<A>>,
    /// When the key was seen that opened the PHI ([`PatientKey::seen`]); `None` if no key was needed.
    pub key_seen: Option<Instant>,
}

/// Folds a stream's events, from `before` on. PHI is opened unless the patient's key was destroyed; without a keyring
/// it stays closed.
///
/// # Errors
///
/// [`StoreError::Unreadable`] names the event that cannot be read, and is around [`SealError::KeyMissing`] if a part's
/// key is neither there nor has a tombstone; [`StoreError::Keys`] if the keys cannot be had.
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

/// The patient under whose key the first sealed part is.
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
