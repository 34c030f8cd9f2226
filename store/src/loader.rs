//! Loads aggregates: reads a stream and folds it.

use std::time::Instant;

use roentgen_domain::ids::StreamId;
use roentgen_domain::{Aggregate, Timestamp, Versioned};

use crate::codec;
use crate::error::StoreError;
use crate::keys::{KEY_CACHE_TTL, Keyring};
use crate::log::StoredEvent;
use crate::reads::Reads;

/// Number of events per read.
const PAGE: u32 = 500;

/// The point up to which a stream is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// All events.
    Now,
    /// Events up to and including this version of the stream.
    Version(u64),
    /// Events up to and including this position of the log.
    Position(u64),
    /// Events recorded up to and including this time.
    Time(Timestamp),
}

impl AsOf {
    fn covers(self, event: &StoredEvent) -> bool {
        match self {
            Self::Now => true,
            Self::Version(version) => event.version <= version,
            Self::Position(position) => event.position <= position,
            Self::Time(time) => event.recorded_at_ms <= time.as_millis(),
        }
    }
}

/// An aggregate, and when the key that opened its PHI was read.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// The aggregate.
    pub resource: Versioned<A>,
    /// When the patient's key was requested from the database, or when the load started if no key was needed. The PHI
    /// in `resource` may be used for [`KEY_CACHE_TTL`] from then on.
    pub key_seen: Instant,
}

impl<A: Aggregate> Loaded<A> {
    fn has_outdated_phi(&self) -> bool {
        self.resource.state.patient_id().is_some() && is_outdated(self.key_seen)
    }
}

/// Returns whether PHI opened with a key seen at this moment must no longer be used.
pub fn is_outdated(key_seen: Instant) -> bool {
    key_seen.elapsed() >= KEY_CACHE_TTL
}

/// The result of looking up an id in the reader's scope.
#[derive(Debug)]
pub enum Found<A> {
    /// The aggregate, boxed because it is large.
    State(Box<Loaded<A>>),
    /// No event up to the given point, or a stream of another tenant.
    Nothing,
    /// An aggregate of another type; the type of a stream never changes.
    OtherType,
}

impl<A> Found<A> {
    fn resource(self) -> Option<Versioned<A>> {
        match self {
            Self::State(loaded) => Some(loaded.resource),
            Self::Nothing | Self::OtherType => None,
        }
    }
}

/// Loads an aggregate. Returns `None` if the reader's tenant has no stream of this id and type, or if the stream has no
/// event up to the given point.
///
/// # Errors
///
/// Those of [`Reads::stream`] and of [`codec::fold`].
pub async fn load<A: Aggregate>(
    reads: &Reads,
    keyring: &Keyring,
    stream_id: StreamId,
    as_of: AsOf,
) -> Result<Option<Versioned<A>>, StoreError> {
    let found = find(reads, keyring, stream_id, as_of).await?;
    Ok(found.resource())
}

/// Loads an aggregate as [`load`] does, with its PHI left sealed.
///
/// # Errors
///
/// As [`load`], except the errors of key lookups.
pub async fn load_closed<A: Aggregate>(
    reads: &Reads,
    stream_id: StreamId,
    as_of: AsOf,
) -> Result<Option<Versioned<A>>, StoreError> {
    let found = folded(reads, None, stream_id, as_of).await?;
    Ok(found.resource())
}

/// Loads an aggregate with the time at which its key was seen, or finds that the id belongs to another type. If the
/// fold takes longer than [`KEY_CACHE_TTL`], the stream is folded a second time with a newly requested key.
///
/// # Errors
///
/// As [`load`].
pub async fn find<A: Aggregate>(
    reads: &Reads,
    keyring: &Keyring,
    stream_id: StreamId,
    as_of: AsOf,
) -> Result<Found<A>, StoreError> {
    let found = folded(reads, Some(keyring), stream_id, as_of).await?;
    match found {
        Found::State(loaded) if loaded.has_outdated_phi() => {
            folded(reads, Some(keyring), stream_id, as_of).await
        }
        Found::State(_) | Found::Nothing | Found::OtherType => Ok(found),
    }
}

async fn folded<A: Aggregate>(
    reads: &Reads,
    keyring: Option<&Keyring>,
    stream_id: StreamId,
    as_of: AsOf,
) -> Result<Found<A>, StoreError> {
    let turn = reads.log_turn().await?;
    let mut key_seen = Instant::now();
    let mut state: Option<Versioned<A>> = None;
    loop {
        let after = state.as_ref().map_or(0, |known| known.version);
        let mut events = turn.stream(stream_id, after, PAGE).await?;
        let whole = events.len() < PAGE as usize;
        if events
            .iter()
            .any(|event| *event.stream_type != *A::STREAM_TYPE)
        {
            return Ok(Found::OtherType);
        }
        let read = events.len();
        events.retain(|event| as_of.covers(event));
        let folded = codec::fold(state, &events, keyring).await?;
        state = folded.resource;
        key_seen = folded.key_seen.map_or(key_seen, |seen| seen.min(key_seen));
        if whole || events.len() < read {
            let loaded = state.map(|resource| Loaded { resource, key_seen });
            return Ok(loaded.map_or(Found::Nothing, |loaded| Found::State(Box::new(loaded))));
        }
    }
}
