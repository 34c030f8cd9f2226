//! Reads request bodies within limits of length, memory in flight and time.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use futures_util::StreamExt as _;
use roentgen_domain::ids::TenantId;
use roentgen_store::fair::{FairShare, Limits, Share, ShareOwner};
use tokio::time::{Instant, timeout};

use super::aside;
use super::weight::Weight;
use crate::problem::{Problem, ProblemCode};
use crate::serve::stopped_arriving;

/// Number of bytes read of an oversized body before it is rejected. A client that sends first and reads later would
/// otherwise see a reset connection instead of the response.
const MAX_READ_BYTES: usize = 64 * 1024 * 1024;
/// Maximum time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time that a body waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Budget for all bodies in flight, in bytes. A tenant that holds little can always send a body of the maximum length,
/// whatever other tenants hold.
const IN_FLIGHT: Limits = Limits {
    shared: 64 * MIB,
    reserve: 32 * MIB,
    little: BodyLimits::SYNC.bytes,
    waiting: 4096,
};

/// Limits of a request body on a route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// Maximum length in bytes.
    bytes: usize,
    /// Maximum content.
    weight: Weight,
}

impl BodyLimits {
    /// Limits for a study with its instances.
    pub(crate) const SYNC: Self = Self {
        bytes: 8 * MIB,
        weight: Weight {
            members: 32_768,
            elements: 65_536,
            longest_name: 64 * KIB,
        },
    };
    /// Limits for all other bodies.
    pub(crate) const USUAL: Self = Self {
        bytes: 512 * KIB,
        weight: Weight {
            members: 10_000,
            elements: 65_536,
            longest_name: 64 * KIB,
        },
    };

    /// Returns the maximum length in bytes.
    #[cfg(test)]
    pub(crate) const fn bytes(self) -> usize {
        self.bytes
    }

    /// Returns whether a body is within the content limits.
    #[cfg(test)]
    pub(crate) fn takes(self, body: &[u8]) -> bool {
        !Weight::measure(body).exceeds(self.weight)
    }

    fn too_long(self) -> Problem {
        let most = match self.bytes / MIB {
            0 => format!("{} KiB", self.bytes / KIB),
            most => format!("{most} MiB"),
        };
        let detail = format!("request body must be complete and at most {most} on this route");
        Problem::new(ProblemCode::BodyTooLarge, detail)
    }

    fn too_heavy(self) -> Problem {
        let Weight {
            members, elements, ..
        } = self.weight;
        let detail = format!(
            "a body holds at most {members} members and {elements} elements here, and no name of more than 64 KiB; send \
             less at once"
        );
        Problem::new(ProblemCode::BodyTooLarge, detail)
    }
}

/// Budget of bodies in flight. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Bodies(FairShare);

impl Default for Bodies {
    fn default() -> Self {
        Self(FairShare::new("bodies", IN_FLIGHT))
    }
}

impl Bodies {
    /// Reads the body. The returned bytes hold their part of the budget until the last copy is dropped.
    pub(super) async fn arrived(
        &self,
        tenant: Option<TenantId>,
        limits: BodyLimits,
        body: Body,
    ) -> Result<Bytes, Problem> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let detail = "request body not received within 30 s";
        timeout(BODY_TIMEOUT, self.whole(tenant, limits, body))
            .await
            .map_err(|_| Problem::new(ProblemCode::RequestTimeout, detail))?
    }

    async fn whole(
        &self,
        tenant: Option<TenantId>,
        limits: BodyLimits,
        body: Body,
    ) -> Result<Bytes, Problem> {
        let declared = body.size_hint().exact();
        let declared = declared.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let room = declared.unwrap_or(limits.bytes);
        if room > limits.bytes {
            return Err(read_on(body, 0, limits).await);
        }
        let share = self.turn(tenant, room).await?;
        let mut bytes = Vec::with_capacity(declared.unwrap_or_default());
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| broken_off(&error, limits))?;
            if bytes.len() + chunk.len() > limits.bytes {
                let read = bytes.len() + chunk.len();
                drop((bytes, share));
                return Err(read_on(Body::from_stream(chunks), read, limits).await);
            }
            bytes.extend_from_slice(&chunk);
        }
        let length = bytes.len();
        let counted = CountingReader {
            bytes,
            _share: share,
        };
        let weigh = move || (Weight::measure(&counted.bytes), counted);
        let (weight, counted) = aside(length, weigh).await?;
        if weight.exceeds(limits.weight) {
            return Err(limits.too_heavy());
        }
        Ok(Bytes::from_owner(counted))
    }

    async fn turn(&self, tenant: Option<TenantId>, bytes: usize) -> Result<Share, Problem> {
        let party = tenant.map_or(ShareOwner::System, ShareOwner::Tenant);
        let turn = self.0.enter(party, bytes, Instant::now() + TURN_TIMEOUT);
        turn.await.map_err(|_crowded| {
            let detail = "too many bodies of the tenant are on their way; try again later";
            Problem::new(ProblemCode::Unavailable, detail)
        })
    }
}

/// Reads and discards the rest of an oversized body.
async fn read_on(body: Body, mut read: usize, limits: BodyLimits) -> Problem {
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => read += chunk.len(),
            Err(error) => return broken_off(&error, limits),
        }
        if read > MAX_READ_BYTES {
            break;
        }
    }
    limits.too_long()
}

/// Returns the problem for a body that did not arrive completely.
fn broken_off(error: &axum::Error, limits: BodyLimits) -> Problem {
    if stopped_arriving(error) {
        let detail = "no byte of the body came for 10 seconds";
        return Problem::new(ProblemCode::RequestTimeout, detail);
    }
    limits.too_long()
}

#[derive(Debug)]
struct CountingReader {
    bytes: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for CountingReader {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u128) -> Option<TenantId> {
        Some(uuid::Uuid::from_u128(number).into())
    }

    async fn arrive(bodies: &Bodies, limits: BodyLimits, body: Body) -> Result<Bytes, ProblemCode> {
        let arrived = bodies.arrived(tenant(1), limits, body).await;
        arrived.map_err(|problem| problem.code())
    }

    /// Returns a body of unknown length.
    fn chunked(bytes: Vec<u8>) -> Body {
        let chunks: Vec<_> = bytes
            .chunks(1000)
            .map(|chunk| Ok::<_, axum::Error>(chunk.to_vec()))
            .collect();
        Body::from_stream(futures_util::stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_is_as_long_as_its_route_takes() {
        let bodies = Bodies::default();
        for limits in [BodyLimits::USUAL, BodyLimits::SYNC] {
            for body in [Body::from as fn(Vec<u8>) -> Body, chunked] {
                let longest = arrive(&bodies, limits, body(vec![b' '; limits.bytes])).await;
                assert_eq!(longest.map(|bytes| bytes.len()), Ok(limits.bytes));
                let longer = arrive(&bodies, limits, body(vec![b' '; limits.bytes + 1])).await;
                assert_eq!(longer, Err(ProblemCode::BodyTooLarge));
            }
        }
        assert_eq!(bodies.0.lent_units(), 0);
    }

    #[tokio::test]
    async fn a_body_holds_no_more_than_its_route_takes() {
        let bodies = Bodies::default();
        let most = BodyLimits::USUAL.weight;
        for (part, count) in [("{},", most.elements), ("\"\":", most.members)] {
            let heavy = arrive(&bodies, BodyLimits::USUAL, part.repeat(count + 1).into()).await;
            assert_eq!(heavy, Err(ProblemCode::BodyTooLarge), "{part}");
        }
    }

    #[tokio::test]
    async fn bytes_hold_their_part_of_the_budget_until_the_last_copy_is_gone() {
        let bodies = Bodies::default();
        let body = arrive(&bodies, BodyLimits::USUAL, vec![b' '; 1000].into())
            .await
            .unwrap();
        let copy = body.clone();
        drop(body);
        assert_eq!(bodies.0.lent_units(), 1000);
        drop(copy);
        assert_eq!(bodies.0.lent_units(), 0);
    }

    #[tokio::test]
    async fn a_tenant_whose_bodies_take_all_leaves_room_for_the_longest_of_another() {
        let bodies = Bodies::default();
        let mut held = Vec::new();
        for _ in 0..IN_FLIGHT.shared / BodyLimits::SYNC.bytes {
            held.push(
                bodies
                    .turn(tenant(1), BodyLimits::SYNC.bytes)
                    .await
                    .unwrap(),
            );
        }
        tokio::time::pause();
        let refused = bodies.turn(tenant(1), 1).await.unwrap_err();
        assert_eq!(refused.code(), ProblemCode::Unavailable);
        assert!(bodies.turn(tenant(2), BodyLimits::SYNC.bytes).await.is_ok());
        held.pop();
        assert!(bodies.turn(tenant(1), 1).await.is_ok());
    }
}
