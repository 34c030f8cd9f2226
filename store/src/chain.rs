//! The hash chain (contract, section 7): the chain hash of an event covers all events before it.
//!
//! `leaf(n)` is a digest of the stored event. Its input has fixed-width and length-prefixed fields, so two different
//! events have different leaf hashes. `hash(n) = SHA-256(hash(n-1) || be64(n) || be64(recorded_at in ms) || leaf(n))`,
//! and `hash(0)` is 32 zero bytes. Leaf hashes are computed here. Chain hashes are computed under the append lock, or
//! before it for a predicted head.

use roentgen_domain::ids::{EventId, StreamId, TenantId};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest: a leaf hash or a chain hash.
pub type Digest = [u8; 32];

/// `hash(0)`: 32 zero bytes.
pub const GENESIS: Digest = [0; 32];

const LEAF_TAG: &[u8] = b"roentgen.leaf.1";

/// The fields that a leaf hash covers.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'a> {
    /// Tenant of the event; the nil UUID if the event belongs to no tenant.
    pub tenant_id: TenantId,
    /// Stream id.
    pub stream_id: StreamId,
    /// Event id.
    pub event_id: EventId,
    /// Version of the event in its stream.
    pub version: u64,
    /// Schema version of the payload.
    pub schema_version: u32,
    /// Stream type.
    pub stream_type: &'a str,
    /// Event type: its frozen wire name.
    pub event_type: &'a str,
    /// Exact bytes of the payload.
    pub payload: &'a [u8],
    /// Sealed PHI; empty if there is none.
    pub sealed: &'a [u8],
    /// Exact bytes of the metadata.
    pub metadata: &'a [u8],
}

impl Leaf<'_> {
    /// Computes the leaf hash.
    pub fn digest(&self) -> Digest {
        let mut hasher = Sha256::new();
        hasher.update(LEAF_TAG);
        hasher.update(self.tenant_id.as_uuid());
        hasher.update(self.stream_id.as_uuid());
        hasher.update(self.event_id.as_uuid());
        hasher.update(self.version.to_be_bytes());
        hasher.update(u64::from(self.schema_version).to_be_bytes());
        for text in [self.stream_type, self.event_type] {
            hasher.update(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
            hasher.update(text);
        }
        for bytes in [self.payload, self.sealed, self.metadata] {
            hasher.update(Sha256::digest(bytes));
        }
        hasher.finalize().into()
    }
}

/// Computes `hash(position)` from `hash(position - 1)`.
pub fn link(previous: &Digest, position: u64, recorded_at_ms: i64, leaf: &Digest) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(position.to_be_bytes());
    hasher.update(recorded_at_ms.to_be_bytes());
    hasher.update(leaf);
    hasher.finalize().into()
}

/// Position and chain hash of the last event; position 0 and 32 zero bytes in an empty log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// Position of the last event.
    pub position: u64,
    /// Chain hash of the last event.
    pub hash: Digest,
}

impl Head {
    /// Advances the head over events with these leaf hashes and one recording time. Returns the chain hash of each
    /// event.
    pub fn extend<'a>(
        &mut self,
        recorded_at_ms: i64,
        leaves: impl IntoIterator<Item = &'a Digest>,
    ) -> Vec<Digest> {
        let step = |leaf| {
            self.position += 1;
            self.hash = link(&self.hash, self.position, recorded_at_ms, leaf);
            self.hash
        };
        leaves.into_iter().map(step).collect()
    }
}

/// Computes the SHA-256 digest of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// An incremental SHA-256 hasher.
#[derive(Debug, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of all bytes added.
    pub fn finish(self) -> Digest {
        self.0.finalize().into()
    }
}

/// Encodes bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|bytes| [digit(bytes >> 4), digit(bytes & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn leaf() -> Leaf<'static> {
        Leaf {
            tenant_id: Uuid::from_u128(1).into(),
            stream_id: Uuid::from_u128(2).into(),
            event_id: Uuid::from_u128(3).into(),
            version: 1,
            schema_version: 1,
            stream_type: "ImagingOrder",
            event_type: "ImagingOrder.Created",
            payload: br#"{"a":1}"#,
            sealed: b"",
            metadata: b"{}",
        }
    }

    /// The expected values were computed with another implementation (Python's hashlib). They never change.
    #[test]
    fn golden_vectors() {
        let leaf = leaf().digest();
        assert_eq!(
            hex(&leaf),
            "1b0632b97ab2c0cf058bb17e719167a3680f51f74441879e84ab77c366aa68c5"
        );
        assert_eq!(
            hex(&link(&GENESIS, 1, 1_700_000_000_000, &leaf)),
            "62de962b29bba811e0e57f615b778e31d506f95034660b1647cd3bdf6836c0c8"
        );
    }

    #[test]
    fn every_field_counts() {
        let all = [
            Leaf {
                tenant_id: Uuid::from_u128(9).into(),
                ..leaf()
            },
            Leaf {
                stream_id: Uuid::from_u128(9).into(),
                ..leaf()
            },
            Leaf {
                event_id: Uuid::from_u128(9).into(),
                ..leaf()
            },
            Leaf {
                version: 2,
                ..leaf()
            },
            Leaf {
                schema_version: 2,
                ..leaf()
            },
            Leaf {
                stream_type: "ImagingOrderI",
                event_type: "magingOrder.Created",
                ..leaf()
            },
            Leaf {
                payload: br#"{"a":2}"#,
                ..leaf()
            },
            Leaf {
                sealed: b"x",
                ..leaf()
            },
            Leaf {
                metadata: b"",
                ..leaf()
            },
        ];
        let digests: std::collections::HashSet<Digest> =
            all.iter().chain([&leaf()]).map(Leaf::digest).collect();
        assert_eq!(digests.len(), all.len() + 1);
    }
}
