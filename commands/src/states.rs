//! Recently seen states, so that most commands need no load. A state is a guess until an append has checked its version.

use std::any::Any;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use roentgen_domain::ids::StreamId;
use roentgen_domain::{Aggregate, Versioned};

/// How long a patient's PHI may stay here after their key is destroyed.
const PHI_KEPT_FOR: Duration = Duration::from_secs(5);
const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// A state of some aggregate.
pub(crate) type AnyState = Arc<dyn Any + Send + Sync>;

#[derive(Debug)]
pub(crate) struct States(Mutex<LruCache<StreamId, (AnyState, Instant)>>);

impl Default for States {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl States {
    pub(crate) fn get<A: Aggregate>(&self, stream_id: StreamId) -> Option<Arc<Versioned<A>>> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, since) = states.get(&stream_id)?;
        let age = since.elapsed();
        let state = Arc::clone(state).downcast::<Versioned<A>>().ok()?;
        if state.state.patient_id().is_some() && age >= PHI_KEPT_FOR {
            states.pop(&stream_id);
            return None;
        }
        Some(state)
    }

    pub(crate) fn put(&self, stream_id: StreamId, state: AnyState) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(stream_id, (state, Instant::now()));
    }

    pub(crate) fn forget(&self, stream_id: StreamId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop(&stream_id);
    }
}
