//! Recently seen states, so that most commands need no load. A state is a guess until an append has checked its version.
//!
//! A patient's states hold opened PHI, which no version check would ever find destroyed: they are loaded anew as often as
//! cached keys are, also where they are in constant use.

use std::any::Any;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use lru::LruCache;
use roentgen_domain::ids::StreamId;
use roentgen_domain::{Aggregate, Versioned};
use roentgen_store::keys::CACHED_FOR;

const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// A state of some aggregate.
pub(crate) type AnyState = Arc<dyn Any + Send + Sync>;

#[derive(Debug)]
pub(crate) struct States(Mutex<LruCache<StreamId, Seen>>);

#[derive(Debug)]
struct Seen {
    state: AnyState,
    /// When the stream was folded, and its PHI opened.
    loaded: Instant,
}

impl Default for States {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl States {
    pub(crate) fn get<A: Aggregate>(&self, stream_id: StreamId) -> Option<Arc<Versioned<A>>> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = states.get(&stream_id)?;
        let state: Arc<Versioned<A>> = Arc::clone(&seen.state).downcast().ok()?;
        if state.state.patient_id().is_some() && seen.loaded.elapsed() >= CACHED_FOR {
            states.pop(&stream_id);
            return None;
        }
        Some(state)
    }

    /// Takes up what was just folded from its stream.
    pub(crate) fn loaded(&self, stream_id: StreamId, state: AnyState) {
        let loaded = Instant::now();
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.put(stream_id, Seen { state, loaded });
    }

    /// Takes up what follows from a state that was known: its PHI is as old as that one's.
    pub(crate) fn evolved(&self, stream_id: StreamId, state: AnyState) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = states.peek(&stream_id).map(|it| it.loaded);
        let loaded = before.unwrap_or_else(Instant::now);
        states.put(stream_id, Seen { state, loaded });
    }

    pub(crate) fn forget(&self, stream_id: StreamId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop(&stream_id);
    }
}
