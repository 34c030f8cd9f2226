//! Idempotency keys and effects as claims: carried out once, and answered the same again.

use roentgen_domain::ids::{StreamId, TenantId};
use roentgen_domain::{Aggregate, Versioned};
use roentgen_store::chain::{Digest, sha256};
use roentgen_store::clock;
use roentgen_store::log::{HeldReservation, Reservation, ReservationKey};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long an idempotency key answers.
const IDEMPOTENCY_TTL_MS: i64 = DAY_MS;
/// How long the claim of a policy's effect stands.
pub(crate) const EFFECT_RESERVATION_TTL_MS: i64 = 30 * DAY_MS;

/// An `Idempotency-Key` with its scope, and the body that came with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    key: ReservationKey,
    request_hash: Digest,
    lifetime_ms: i64,
}

impl Idempotency {
    /// A key is scoped to tenant, caller, method and path; the body is what must not differ.
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

    /// The claim of one effect of one event: whoever carries it out a second time finds it taken.
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

    pub(super) const fn key(&self) -> ReservationKey {
        self.key
    }

    /// Whether this is the body that came with the key.
    pub(super) fn came_with(&self, request_hash: Digest) -> bool {
        self.request_hash == request_hash
    }

    /// The claim that answers with this resource.
    pub(super) fn claim<A: Aggregate>(&self, resource: &Versioned<A>) -> Reservation {
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
