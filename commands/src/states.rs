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

#[cfg(test)]
mod tests {
    use roentgen_domain::ids::PatientId;
    use roentgen_domain::json::Members;
    use roentgen_domain::phi::Phi;
    use roentgen_domain::{Context, Misplaced, Timestamp, modality};
    use roentgen_store::keys::CACHED_FOR;
    use serde::{Deserialize, Serialize};
    use uuid::Uuid;

    use super::*;

    /// Something of a patient's.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Thing {
        patient: Option<PatientId>,
    }

    impl Aggregate for Thing {
        const STREAM_TYPE: &'static str = "Thing";
        type Command = ();
        type Event = modality::Event;
        type Error = modality::Error;

        fn decide(_: Option<&Self>, (): (), _: &Context) -> Result<Vec<Self::Event>, Self::Error> {
            Ok(Vec::new())
        }

        fn evolve(state: Option<Self>, _: Self::Event) -> Result<Self, Misplaced> {
            Ok(state.unwrap_or(Self { patient: None }))
        }

        fn phi(&self) -> Option<Phi<Members>> {
            None
        }

        fn patient_id(&self) -> Option<PatientId> {
            self.patient
        }
    }

    fn key(tenant: u128) -> Key {
        let (tenant, stream) = (Uuid::from_u128(tenant), Uuid::from_u128(9));
        (tenant.into(), stream.into())
    }

    fn seen(patient: Option<PatientId>, key_seen: Instant) -> Seen {
        let state = Versioned {
            id: key(1).1,
            tenant_id: key(1).0,
            state: Thing { patient },
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
            version: 1,
            sealed_bytes: 0,
        };
        Seen {
            state: Arc::new(state),
            key_seen,
        }
    }

    fn long_ago() -> Instant {
        Instant::now().checked_sub(CACHED_FOR).unwrap()
    }

    #[test]
    fn state_is_used_as_long_as_the_key_that_opened_it() {
        let (states, patient) = (States::default(), Some(Uuid::from_u128(2).into()));
        states.put(key(1), seen(patient, Instant::now()));
        assert!(states.get::<Thing>(key(1)).is_some());
        states.put(key(1), seen(patient, long_ago()));
        assert!(states.get::<Thing>(key(1)).is_none(), "just put, and old");
        states.put(key(1), seen(None, long_ago()));
        assert!(states.get::<Thing>(key(1)).is_some(), "nobody's PHI");
    }

    #[test]
    fn another_tenants_state_is_not_found() {
        let states = States::default();
        states.put(key(1), seen(None, Instant::now()));
        assert!(states.get::<Thing>(key(2)).is_none());
    }
}
