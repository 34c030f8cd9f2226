//! Idempotency keys and policy effects as reservations: each runs once, and a retry gets the stored outcome.

use roentgen_domain::ids::{StreamId, TenantId};
use roentgen_domain::{Aggregate, Versioned};
use roentgen_store::chain::{Digest, sha256};
use roentgen_store::clock;
use roentgen_store::log::{HeldReservation, Reservation, ReservationKey};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Lifetime of an idempotency key, 1 day in milliseconds.
const IDEMPOTENCY_TTL_MS: i64 = DAY_MS;
/// Lifetime of the reservation of a policy's effect, 30 days in milliseconds.
pub(crate) const EFFECT_RESERVATION_TTL_MS: i64 = 30 * DAY_MS;

/// `Idempotency-Key` with its scope, and the hash of the request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    key: ReservationKey,
    request_hash: Digest,
    lifetime_ms: i64,
}

impl Idempotency {
    /// Derives the key. It is scoped to tenant, caller, method and path; a retry must have the same body.
    pub fn new(
        tenant: TenantId,
        caller: &str,
        method: &str,
        path: &str,
        key: &str,
        body: &[u8],
    ) -> Self {
        let mut scope = b"idempotency".to_vec();
        scope.extend_from_slice(tenant.as_uuid().as_bytes());
        for part in [caller, method, path, key] {
            scope.extend_from_slice(&(part.len() as u64).to_be_bytes());
            scope.extend_from_slice(part.as_bytes());
        }
        Self {
            key: ReservationKey(sha256(&scope)),
            request_hash: sha256(body),
            lifetime_ms: IDEMPOTENCY_TTL_MS,
        }
    }

    /// Derives the reservation of one effect of one event. A second attempt at the effect finds the key reserved.
    pub(crate) fn of_effect(effect: &str, target: StreamId, position: u64) -> Self {
        let mut scope = b"effect".to_vec();
        scope.extend_from_slice(&position.to_be_bytes());
        scope.extend_from_slice(target.as_uuid().as_bytes());
        scope.extend_from_slice(effect.as_bytes());
        Self {
            key: ReservationKey(sha256(&scope)),
            request_hash: sha256(b"effect"),
            lifetime_ms: EFFECT_RESERVATION_TTL_MS,
        }
    }

    pub(crate) const fn key(&self) -> ReservationKey {
        self.key
    }

    /// Checks whether the key was used with this body.
    pub(crate) fn came_with(&self, request_hash: Digest) -> bool {
        self.request_hash == request_hash
    }

    /// Builds the reservation that returns this resource.
    pub(crate) fn claim<A: Aggregate>(&self, resource: &Versioned<A>) -> Reservation {
        let held = HeldReservation {
            request_hash: self.request_hash,
            stream_id: resource.id,
            version: resource.version,
            expires_at_ms: clock::now_ms() + self.lifetime_ms,
        };
        Reservation {
            key: self.key,
            held,
        }
    }
}
