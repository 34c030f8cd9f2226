//! Between domain events and stored ones.

use std::time::Instant;

use roentgen_domain::aggregate::EventHeader;
use roentgen_domain::growth::Size;
use roentgen_domain::ids::{PatientId, StreamId, TenantId};
use roentgen_domain::{Aggregate, DecodeError, DomainEvent, UnexpectedEvent, Versioned};

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

/// A domain event as it is to be stored: its payload open, its PHI sealed under `key`. `metadata` is the JSON of
/// [`EventMetadata`](roentgen_domain::EventMetadata).
pub fn encode<A: Aggregate>(
    event: &A::Event,
    place: EventAddress,
    metadata: String,
    key: Option<&PatientKey>,
) -> NewEvent {
    let sealed = match (event.phi(), key) {
        (Some(phi), Some(key)) => key.seal(phi.expose(), place.stream_id, place.version),
        (Some(_), None) | (None, _) => Vec::new(),
    };
    NewEvent {
        event_id: clock::fresh_id().into(),
        tenant_id: place.tenant_id,
        stream_type: A::STREAM_TYPE,
        stream_id: place.stream_id,
        version: place.version,
        event_type: event.event_type(),
        schema_version: event.schema_version(),
        payload: String::from_utf8(event.payload()).unwrap_or_default(),
        sealed,
        metadata,
    }
}

/// A stored event as a domain event, its PHI opened by `keys`; without them its PHI stays closed.
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

/// The resource after one more stored event.
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
    let (mut state, pace) = (before, YieldPacer::begin());
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
