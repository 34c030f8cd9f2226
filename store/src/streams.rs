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

/// The aggregate as its stream says, or `None` where the stream has no event (of this kind) by then.
pub async fn load<A: Aggregate>(
    engine: &Arc<dyn Engine>,
    keyring: &Keyring,
    stream_id: StreamId,
    as_of: AsOf,
) -> Result<Option<Versioned<A>>, StoreError> {
    walk(engine, Some(keyring), stream_id, as_of).await
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
    walk(engine, None, stream_id, as_of).await
}

async fn walk<A: Aggregate>(
    engine: &Arc<dyn Engine>,
    keyring: Option<&Keyring>,
    stream_id: StreamId,
    as_of: AsOf,
) -> Result<Option<Versioned<A>>, StoreError> {
    let mut state: Option<Versioned<A>> = None;
    loop {
        let after = state.as_ref().map_or(0, |it| it.version);
        let mut events = engine.stream(stream_id, after, PAGE).await?;
        let whole = events.len() < PAGE as usize;
        if events.iter().any(|it| *it.stream_type != *A::STREAM_TYPE) {
            return Ok(None);
        }
        let read = events.len();
        events.retain(|it| as_of.covers(it));
        state = codec::fold(state, &events, keyring).await?;
        if whole || events.len() < read {
            return Ok(state);
        }
    }
}
