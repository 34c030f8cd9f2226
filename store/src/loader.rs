//! Loading an aggregate: its stream, folded.

use std::time::Instant;

use roentgen_domain::ids::StreamId;
use roentgen_domain::{Aggregate, Timestamp, Versioned};

use crate::codec;
use crate::error::StoreError;
use crate::keys::{KEY_CACHE_TTL, Keyring};
use crate::log::StoredEvent;
use crate::reads::Reads;

/// How many events are read at once.
const PAGE: u32 = 500;

/// Up to where a stream is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// All of it.
    Now,
    /// Up to and with this version of the stream.
    Version(u64),
    /// What stood in the log up to and with this position.
    Position(u64),
    /// What was recorded up to and with this time.
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

/// An aggregate, and since when the key is known that opened its PHI.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// The aggregate.
    pub resource: Versioned<A>,
    /// When its patient's key was seen, or when the load began if no key was needed. The PHI in `resource` is used for
    /// [`KEY_CACHE_TTL`] from then on.
    pub key_seen: Instant,
}

impl<A: Aggregate> Loaded<A> {
    fn has_outdated_phi(&self) -> bool {
        self.resource.state.patient_id().is_some() && is_outdated(self.key_seen)
    }
}

/// Whether PHI that was opened by a key seen at this moment is used no more.
pub fn is_outdated(key_seen: Instant) -> bool {
    key_seen.elapsed() >= KEY_CACHE_TTL
}

/// What there is under an id, as far as the reader sees.
#[derive(Debug)]
pub enum Found<A> {
    /// The aggregate, boxed since it is large.
    State(Box<Loaded<A>>),
    /// No event by then, or another tenant's.
    Nothing,
    /// An aggregate of another type, which a stream has for ever.
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

/// Loads an aggregate as its stream says. Returns `None` if the reader's tenant has no stream of this id and type, or
/// if the stream has no event by then.
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

/// The same, its PHI left closed.
///
/// # Errors
///
/// As [`load`], but for those of keys.
pub async fn load_closed<A: Aggregate>(
    reads: &Reads,
    stream_id: StreamId,
    as_of: AsOf,
) -> Result<Option<Versioned<A>>, StoreError> {
    let found = folded(reads, None, stream_id, as_of).await?;
    Ok(found.resource())
}

/// The aggregate with the age of its opened PHI, and whether the id belongs to one of another type. If the fold
/// outlasted the key's time, the stream is folded a second time, with a key that is looked up for it.
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
