//! Cache of recent aggregate states, which saves most commands a load. A cached state may be stale until an append has
//! verified its version. The cache is bounded by estimated memory, and tenants share it fairly.
//!
//! The tenant is part of the key, so that a stream of another tenant is not found. States of a patient contain
//! decrypted PHI, and no version check detects that its key was deleted. They are used for as long as their key may be
//! cached, counted from the time at which the key was requested from the database, even if commands were decided on
//! them since.

pub(crate) mod weight;

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use roentgen_domain::ids::{StreamId, TenantId};
use roentgen_domain::{Aggregate, Versioned};
use roentgen_store::loader::is_outdated;
use roentgen_store::weighed::WeightedLru;

/// Maximum estimated memory of the cached states of all tenants, in bytes (256 MiB).
const BUDGET: usize = 256 * 1024 * 1024;

/// Versioned state of any aggregate type.
pub(crate) type AnyState = Arc<dyn Any + Send + Sync>;

/// Tenant and stream.
pub(crate) type CacheKey = (TenantId, StreamId);

/// Cached state, with the time at which the key of its PHI was last requested from the database.
#[derive(Debug, Clone)]
pub(crate) struct CachedState {
    pub(crate) state: AnyState,
    pub(crate) key_seen: Instant,
}

#[derive(Debug)]
pub(crate) struct StateCache(Mutex<WeightedLru<TenantId, StreamId, CachedState>>);

impl Default for StateCache {
    fn default() -> Self {
        Self::with_budget(BUDGET)
    }
}

impl StateCache {
    fn with_budget(bytes: usize) -> Self {
        Self(Mutex::new(WeightedLru::new(bytes)))
    }

    /// Returns the state, unless it contains PHI and its key is outdated.
    pub(crate) fn get<A: Aggregate>(
        &self,
        (tenant, stream): CacheKey,
    ) -> Option<(Arc<Versioned<A>>, Instant)> {
        let mut states = self.lock();
        let CachedState { state, key_seen } = states.get(tenant, &stream)?.clone();
        let state: Arc<Versioned<A>> = state.downcast().ok()?;
        if state.state.patient_id().is_some() && is_outdated(key_seen) {
            states.pop(tenant, &stream);
            return None;
        }
        Some((state, key_seen))
    }

    /// Caches a state that was folded from its stream, or derived from such a state. A derived state keeps the
    /// `key_seen` of its base.
    pub(crate) fn put<A: Aggregate>(&self, state: Arc<Versioned<A>>, key_seen: Instant) {
        let tenant = state.tenant_id;
        let stream = state.id;
        let bytes = weight::estimated_bytes(&state);
        let seen = CachedState { state, key_seen };
        self.lock().put(tenant, stream, seen, bytes);
    }

    pub(crate) fn forget(&self, (tenant, stream): CacheKey) {
        self.lock().pop(tenant, &stream);
    }

    fn lock(&self) -> MutexGuard<'_, WeightedLru<TenantId, StreamId, CachedState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use roentgen_domain::growth::Size;
    use roentgen_domain::ids::PatientId;
    use roentgen_domain::json::Members;
    use roentgen_domain::modality::Modality;
    use roentgen_domain::phi::Phi;
    use roentgen_domain::{Context, Timestamp, UnexpectedEvent, catalog};
    use roentgen_store::keys::KEY_CACHE_TTL;
    use serde::{Deserialize, Serialize};
    use uuid::Uuid;

    use super::*;

    /// Test aggregate of a patient.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Thing {
        patient: Option<PatientId>,
        note: String,
    }

    impl Aggregate for Thing {
        const STREAM_TYPE: &'static str = "Thing";
        type Command = ();
        type Event = catalog::Event<Modality>;
        type Error = catalog::Error<Infallible>;

        fn decide(_: Option<&Self>, (): (), _: &Context) -> Result<Vec<Self::Event>, Self::Error> {
            Ok(Vec::new())
        }

        fn evolve(state: Option<Self>, _: Self::Event) -> Result<Self, UnexpectedEvent> {
            state.ok_or(UnexpectedEvent { event: "Nothing" })
        }

        fn phi(&self) -> Option<Phi<Members>> {
            None
        }

        fn patient_id(&self) -> Option<PatientId> {
            self.patient
        }
    }

    fn key(tenant: u128) -> CacheKey {
        let tenant = Uuid::from_u128(tenant);
        let stream = Uuid::from_u128(9);
        (tenant.into(), stream.into())
    }

    fn thing(tenant: u128, patient: Option<PatientId>) -> Arc<Versioned<Thing>> {
        let (tenant_id, id) = key(tenant);
        Arc::new(Versioned {
            id,
            tenant_id,
            state: Thing {
                patient,
                note: String::new(),
            },
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
            version: 1,
            size: Size::default(),
        })
    }

    fn long_ago() -> Instant {
        Instant::now().checked_sub(KEY_CACHE_TTL).unwrap()
    }

    #[test]
    fn state_is_used_as_long_as_the_key_that_opened_it() {
        let states = StateCache::default();
        let patient = Some(Uuid::from_u128(2).into());
        states.put(thing(1, patient), Instant::now());
        assert!(states.get::<Thing>(key(1)).is_some());
        states.put(thing(1, patient), long_ago());
        assert!(states.get::<Thing>(key(1)).is_none(), "just put, and old");
        states.put(thing(1, None), long_ago());
        assert!(states.get::<Thing>(key(1)).is_some(), "nobody's PHI");
    }

    #[test]
    fn another_tenants_state_is_not_found() {
        let states = StateCache::default();
        states.put(thing(1, None), Instant::now());
        assert!(states.get::<Thing>(key(2)).is_none());
    }

    #[test]
    fn states_take_no_more_than_the_budget_and_tenants_share_it() {
        let states = StateCache::with_budget(1 << 20);
        states.put(thing(1, None), Instant::now());
        for stream in 0..20_u128 {
            let mut heavy = Arc::unwrap_or_clone(thing(2, None));
            heavy.id = Uuid::from_u128(stream).into();
            heavy.state.note = "x".repeat(100 << 10);
            states.put(Arc::new(heavy), Instant::now());
        }
        let kept = |tenant: u128, stream: u128| {
            let key = (key(tenant).0, Uuid::from_u128(stream).into());
            states.get::<Thing>(key).is_some()
        };
        let heavy = (0..20).filter(|stream| kept(2, *stream)).count();
        assert_eq!(heavy, 10, "of 100 KiB each in 1 MiB");
        assert!(kept(2, 19), "the newest is there");
        assert!(kept(1, 9), "and so is another tenant's");
    }
}
