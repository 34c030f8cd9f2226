//! The vocabulary of the log: what is appended, what is stored, what comes back.
//!
//! An append is one atomic request of three primitives: *checks* (a stream is at a version), *events* to streams at
//! expected versions, and *claims* (unique keys), all or nothing.

use std::sync::Arc;

use roentgen_domain::Timestamp;
use roentgen_domain::ids::{EventId, PatientId, StreamId, TenantId};
use uuid::Uuid;

use crate::chain::{Digest, Leaf};
use crate::engine::MAX_PAGE_BYTES;

/// An event is at most this long: payload, sealed part and metadata together, in bytes.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// One atomic request to the log.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// Streams that must be at a version. Every stream of `events` has exactly one; a stream without events here is a
    /// pure assertion.
    pub checks: Vec<ExpectedVersion>,
    /// In the order in which they are to stand; within a stream at consecutive versions from `expected + 1`.
    pub events: Vec<NewEvent>,
    /// Keys that must be free, and are taken.
    pub claims: Vec<Reservation>,
    /// Keys of patients who have none yet; a patient who has one by now makes the append fail.
    pub patient_keys: Vec<NewPatientKey>,
}

/// "This stream is at this version"; 0 is "it does not exist".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedVersion {
    /// The stream.
    pub stream_id: StreamId,
    /// The version it must be at.
    pub expected: u64,
}

/// An event on its way into the log.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// A fresh UUIDv7. It identifies *this* attempt to write: a resend after a lost answer finds its own by it.
    pub event_id: EventId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The stream's type.
    pub stream_type: &'static str,
    /// The stream.
    pub stream_id: StreamId,
    /// The version it takes in its stream, from 1.
    pub version: u64,
    /// The wire name.
    pub event_type: &'static str,
    /// The payload's shape.
    pub schema_version: u32,
    /// JSON, kept to the byte.
    pub payload: String,
    /// Sealed PHI (see [`crate::keys`]); empty where there is none.
    pub sealed: Vec<u8>,
    /// JSON: actor, correlation, causation.
    pub metadata: String,
}

impl NewEvent {
    /// Payload, sealed part and metadata together, in bytes.
    pub fn size(&self) -> usize {
        self.payload.len() + self.sealed.len() + self.metadata.len()
    }

    /// The digest of what will be stored.
    pub fn leaf(&self) -> Digest {
        Leaf {
            tenant_id: self.tenant_id,
            stream_id: self.stream_id,
            event_id: self.event_id,
            version: self.version,
            schema_version: self.schema_version,
            stream_type: self.stream_type,
            event_type: self.event_type,
            payload: self.payload.as_bytes(),
            sealed: &self.sealed,
            metadata: self.metadata.as_bytes(),
        }
        .digest()
    }
}

/// SHA-256 of what the claim is for: its kind, scope and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReservationKey(pub Digest);

/// A unique key to take, and what it answers to whoever comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// The key.
    pub key: ReservationKey,
    /// What it answers.
    pub held: HeldReservation,
}

/// What a taken claim says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldReservation {
    /// SHA-256 of the request that took it.
    pub request_hash: Digest,
    /// The stream whose resource was the answer.
    pub stream_id: StreamId,
    /// The version the resource was answered at.
    pub version: u64,
    /// When the key is free again, in milliseconds since the epoch.
    pub expires_at_ms: i64,
}

/// A patient's data key, wrapped by the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPatientKey {
    /// Whose patient.
    pub tenant_id: TenantId,
    /// Which patient.
    pub patient_id: PatientId,
    /// The key as stored.
    pub wrapped: WrappedKey,
}

impl NewPatientKey {
    /// Whose it is.
    pub const fn patient(&self) -> (TenantId, PatientId) {
        (self.tenant_id, self.patient_id)
    }
}

/// A data key as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Names the key; every sealed part says which one sealed it.
    pub key_id: Uuid,
    /// The key itself, sealed under the master key.
    pub wrapped: Vec<u8>,
}

/// What is known of a patient's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownKeys {
    /// The key that new parts are sealed under.
    pub key: Option<WrappedKey>,
    /// Whether that key has to go along with the patient's next append, since no event has been sealed under it yet and
    /// the log does not list it.
    pub is_waiting: bool,
    /// The ids of keys that were destroyed on purpose and have a tombstone.
    pub erased: Vec<Uuid>,
    /// The ids of keys that the log lists for the patient.
    pub registered: Vec<Uuid>,
}

impl KnownKeys {
    /// The listed keys that are neither there nor have a tombstone.
    pub fn missing(&self) -> impl Iterator<Item = Uuid> {
        let current = self.key.as_ref().map(|key| key.key_id);
        let is_known = move |id: &&Uuid| Some(**id) == current || self.erased.contains(*id);
        self.registered
            .iter()
            .filter(move |id| !is_known(id))
            .copied()
    }
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    /// It is there.
    Kept(NewPatientKey),
    /// It was destroyed on purpose.
    Erased(Uuid),
}

impl KeyState {
    /// The key's id.
    pub const fn key_id(&self) -> Uuid {
        match self {
            Self::Kept(key) => key.wrapped.key_id,
            Self::Erased(key_id) => *key_id,
        }
    }
}

/// An entry of the log's list of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisteredKey {
    /// Grows from entry to entry.
    pub number: u64,
    /// The key's id.
    pub key_id: Uuid,
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Dense from 1, in commit order, over the whole log.
    pub position: u64,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The stream's type.
    pub stream_type: Arc<str>,
    /// The stream.
    pub stream_id: StreamId,
    /// The version in the stream, from 1.
    pub version: u64,
    /// The event's own id.
    pub event_id: EventId,
    /// The wire name.
    pub event_type: Arc<str>,
    /// The payload's shape.
    pub schema_version: u32,
    /// Set by the database under the append lock; never goes back. Milliseconds since the epoch.
    pub recorded_at_ms: i64,
    /// JSON, kept to the byte.
    pub payload: String,
    /// Sealed PHI; empty where there is none.
    pub sealed: Vec<u8>,
    /// JSON: actor, correlation, causation.
    pub metadata: String,
    /// The digest of what is stored.
    pub leaf: Digest,
    /// The link to everything before.
    pub hash: Digest,
}

impl StoredEvent {
    /// When it was recorded; the epoch where the stored number is no time at all.
    pub fn recorded_at(&self) -> Timestamp {
        Timestamp::from_millis(self.recorded_at_ms).unwrap_or(Timestamp::EPOCH)
    }

    /// The digest of what is stored: `leaf`, where nobody altered it.
    pub fn computed_leaf(&self) -> Digest {
        Leaf {
            tenant_id: self.tenant_id,
            stream_id: self.stream_id,
            event_id: self.event_id,
            version: self.version,
            schema_version: self.schema_version,
            stream_type: &self.stream_type,
            event_type: &self.event_type,
            payload: self.payload.as_bytes(),
            sealed: &self.sealed,
            metadata: self.metadata.as_bytes(),
        }
        .digest()
    }

    /// Roughly what it weighs in memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.payload.len() + self.sealed.len() + self.metadata.len()
    }
}

/// The last event's place and link; position 0 and 32 zero bytes before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// The last event's position.
    pub position: u64,
    /// Its link.
    pub hash: Digest,
}

/// Several appends for one call of the database. Within a batch no stream that is written stands in two appends, and
/// no claim key or patient twice.
#[derive(Debug)]
pub struct AppendBatch<'a> {
    /// In order.
    pub appends: Vec<&'a PreparedAppend>,
    /// This batch, or part of it, may have been committed already: events found at their versions under their own ids
    /// are taken as written.
    pub resend: bool,
}

/// An append with its leaves computed.
#[derive(Debug, Clone)]
pub struct PreparedAppend {
    /// The request.
    pub append: Append,
    /// One leaf an event.
    pub leaves: Vec<Digest>,
}

/// What the database did with a batch.
#[derive(Debug)]
pub struct BatchOutcome {
    /// One verdict an append, in order.
    pub verdicts: Vec<AppendOutcome>,
    /// The log's head before the batch: the first event written by it follows there.
    pub before: Head,
    /// `recorded_at` of the events written by it, in milliseconds since the epoch.
    pub recorded_at_ms: i64,
}

/// What became of one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// All of it is in the log now, its events following those of the append before it.
    Written,
    /// All of it was in the log already, from an earlier sending of the same batch.
    AlreadyWritten {
        /// The first event's position; the others follow it.
        first_position: u64,
        /// When they were recorded, in milliseconds since the epoch.
        recorded_at_ms: i64,
    },
    /// A stream is not at the expected version. Nothing was written.
    Conflict {
        /// Which stream.
        stream_id: StreamId,
        /// The version it is at.
        actual: u64,
    },
    /// A claim is taken. Nothing was written.
    KeyTaken {
        /// What it says.
        held: HeldReservation,
    },
    /// A patient has a key already. Nothing was written.
    PatientKeyExists,
}

/// An acknowledged append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendReceipt {
    /// The last event's position; where the append had no events, the head it was checked at.
    pub position: u64,
    /// When its events were recorded.
    pub recorded_at: Timestamp,
}

/// Which events a page of the log is about. `None` and empty mean all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// One tenant's only.
    pub tenant_id: Option<TenantId>,
    /// These wire names only.
    pub event_types: Vec<String>,
    /// Streams of this type only.
    pub stream_type: Option<String>,
    /// This stream only.
    pub stream_id: Option<StreamId>,
    /// Events whose payload names this patient only.
    pub patient_id: Option<PatientId>,
    /// The first events of streams only.
    pub beginnings: bool,
}

/// What streams have after their first events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamTails {
    /// The events, stream by stream as they were asked for, each stream's in order.
    pub events: Vec<StoredEvent>,
    /// Of how many streams, from the first on, all is here: of as many as make `MAX_PAGE_BYTES`, and of one in any
    /// case.
    pub streams: usize,
}

/// Where a portion of tails ends: with the stream that makes it `MAX_PAGE_BYTES` or more.
#[derive(Debug, Default)]
pub(crate) struct TailsPageLimit {
    bytes: usize,
    last: Option<StreamId>,
}

impl TailsPageLimit {
    /// Whether the next event is the first one that is too much.
    pub(crate) fn is_before(&mut self, event: &StoredEvent) -> bool {
        let is_next = self.last.replace(event.stream_id) != Some(event.stream_id);
        let is_full = self.bytes >= MAX_PAGE_BYTES;
        self.bytes += event.memory_bytes();
        is_next && is_full
    }

    /// The portion, without that event.
    pub(crate) fn cut(
        mut events: Vec<StoredEvent>,
        streams: &[StreamId],
        is_cut: bool,
    ) -> StreamTails {
        let beyond = if is_cut { events.pop() } else { None };
        let whole = beyond.and_then(|event| streams.iter().position(|id| *id == event.stream_id));
        StreamTails {
            events,
            streams: whole.unwrap_or(streams.len()),
        }
    }
}

/// A page of the log, in position order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The events that pass the filter.
    pub events: Vec<StoredEvent>,
    /// How far the log was looked at; the next page starts after it.
    pub scanned_to: u64,
}
