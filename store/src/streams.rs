//! Loading an aggregate: its stream, folded.

use std::sync::Arc;

use roentgen_domain::ids::StreamId;
use roentgen_domain::{Aggregate, Timestamp, Versioned};

use crate::codec;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::keys::Keyring;
use crate::log::StoredEvent;

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

/// What there is under an id.
#[derive(Debug)]
pub enum Found<A> {
    /// The aggregate, boxed since it is large.
    State(Box<Versioned<A>>),
    /// No event by then.
    Nothing,
    /// An aggregate of another type, which a stream has for ever.
    OtherType,
}

/// The aggregate as its stream says, or `None` where the stream has no event (of this kind) by then.
pub async fn load<A: Aggregate>(
    engine: &Arc<dyn Engine>,
    keyring: &Keyring,
    stream_id: StreamId,
    as_of: AsOf,
) -> Result<Option<Versioned<A>>, StoreError> {
    load_with(engine, Some(keyring), stream_id, as_of).await
}

/// The same, its PHI left closed.
///
/// # Errors
///
/// As [`load`], but for those of keys.
pub async fn load_closed<A: Aggregate>(
    engine: &Arc<dyn Engine>,
    stream_id: StreamId,
    as_of: AsOf,
) -> Result<Option<Versioned<A>>, StoreError> {
    load_with(engine, None, stream_id, as_of).await
}

async fn load_with<A: Aggregate>(
    engine: &Arc<dyn Engine>,
    keyring: Option<&Keyring>,
    stream_id: StreamId,
    as_of: AsOf,
) -> Result<Option<Versioned<A>>, StoreError> {
    match walk(engine, keyring, stream_id, as_of).await? {
        Found::State(state) => Ok(Some(*state)),
        Found::Nothing | Found::OtherType => Ok(None),
    }
}

/// The aggregate, and whether the id belongs to one of another type.
///
/// # Errors
///
/// As [`load`].
pub async fn find<A: Aggregate>(
    engine: &Arc<dyn Engine>,
    keyring: &Keyring,
    stream_id: StreamId,
    as_of: AsOf,
) -> Result<Found<A>, StoreError> {
    walk(engine, Some(keyring), stream_id, as_of).await
}

async fn walk<A: Aggregate>(
    engine: &Arc<dyn Engine>,
    keyring: Option<&Keyring>,
    stream_id: StreamId,
    as_of: AsOf,
) -> Result<Found<A>, StoreError> {
    let mut state: Option<Versioned<A>> = None;
    loop {
        let after = state.as_ref().map_or(0, |it| it.version);
        let mut events = engine.stream(stream_id, after, PAGE).await?;
        let whole = events.len() < PAGE as usize;
        if events.iter().any(|it| *it.stream_type != *A::STREAM_TYPE) {
            return Ok(Found::OtherType);
        }
        let read = events.len();
        events.retain(|it| as_of.covers(it));
        state = codec::fold(state, &events, keyring).await?;
        if whole || events.len() < read {
            return Ok(state.map_or(Found::Nothing, |state| Found::State(Box::new(state))));
        }
    }
}
