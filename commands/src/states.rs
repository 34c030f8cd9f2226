//! Recently seen states, so that most commands need no load. A state is a guess until an append has checked its version.
//!
//! The tenant is part of the key: another tenant's stream is not found. A patient's states hold opened PHI, which no version
//! check would ever find destroyed: they are used for as long as the key may be that opened them, counted from the moment
//! at which the database was asked for that key, whatever was decided on them since.

use std::any::Any;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use lru::LruCache;
use roentgen_domain::ids::{StreamId, TenantId};
use roentgen_domain::{Aggregate, Versioned};
use roentgen_store::streams::is_outdated;

const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// A state of some aggregate.
pub(crate) type AnyState = Arc<dyn Any + Send + Sync>;

/// A stream as its tenant's callers name it.
pub(crate) type Key = (TenantId, StreamId);

/// A state, and since when the key is known that opened its PHI.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) state: AnyState,
    pub(crate) key_seen: Instant,
}

#[derive(Debug)]
pub(crate) struct States(Mutex<LruCache<Key, Seen>>);

impl Default for States {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl States {
    /// The state, unless it holds PHI that is used no more.
    pub(crate) fn get<A: Aggregate>(&self, key: Key) -> Option<(Arc<Versioned<A>>, Instant)> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { state, key_seen } = states.get(&key)?.clone();
        let state: Arc<Versioned<A>> = state.downcast().ok()?;
        if state.state.patient_id().is_some() && is_outdated(key_seen) {
            states.pop(&key);
            return None;
        }
        Some((state, key_seen))
    }

    /// Takes up a state that was folded from its stream, or that follows from such a one: then its PHI is as old as that
    /// one's.
    pub(crate) fn put(&self, key: Key, seen: Seen) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.put(key, seen);
    }

    pub(crate) fn forget(&self, key: Key) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop(&key);
    }
}
