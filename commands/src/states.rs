//! Recently seen states, so that most commands need no load. A state is a guess until an append has checked its version.

use std::any::Any;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use roentgen_domain::ids::StreamId;
use roentgen_domain::{Aggregate, Versioned};

const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// A state of some aggregate.
pub(crate) type AnyState = Arc<dyn Any + Send + Sync>;

#[derive(Debug)]
pub(crate) struct States(Mutex<LruCache<StreamId, AnyState>>);

impl Default for States {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl States {
    pub(crate) fn get<A: Aggregate>(&self, stream_id: StreamId) -> Option<Arc<Versioned<A>>> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(states.get(&stream_id)?).downcast().ok()
    }

    pub(crate) fn put(&self, stream_id: StreamId, state: AnyState) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(stream_id, state);
    }

    pub(crate) fn forget(&self, stream_id: StreamId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop(&stream_id);
    }
}
