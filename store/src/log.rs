//! Types of the log: append requests, stored events, append outcomes and pages.
//!
//! An append is one atomic request of three parts: *checks* (expected versions of streams), *events*, and *claims*
//! (reservations of unique keys).

use std::sync::Arc;

use roentgen_domain::Timestamp;
use roentgen_domain::ids::{EventId, PatientId, StreamId, TenantId};
use uuid::Uuid;

use crate::chain::{Digest, Head, Leaf};

/// Maximum number of positions that one page of the log covers.
pub const MAX_POSITIONS_PER_PAGE: u64 = 100_000;

/// Size of one page of the log in memory, in bytes; a single event may have 256 KiB.
pub const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Maximum size of an event in bytes: payload, sealed PHI and metadata together.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// An append request; it is atomic.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// Expected versions of streams. Every stream of `events` has exactly one entry; a stream without events is only
    /// checked.
    pub checks: Vec<ExpectedVersion>,
    /// Events to write, in log order. Events of one stream have consecutive versions from `expected + 1`.
    pub events: Vec<NewEvent>,
    /// Reservations to make; their keys must be free.
    pub claims: Vec<Reservation>,
    /// New keys of patients without a key. The append fails if one of the patients has a key by then.
    pub patient_keys: Vec<NewPatientKey>,
}

/// The version that a stream must have; 0 if the stream must not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedVersion {
    /// Stream id.
    pub stream_id: StreamId,
    /// Expected version.
    pub expected: u64,
}

/// An event to be written to the log.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// New UUIDv7 that identifies one attempt to write: after a lost response, the resend finds its own events by this
    /// id.
    pub event_id: EventId,
    /// Tenant of the event.
    pub tenant_id: TenantId,
    /// Stream type.
    pub stream_type: &'static str,
    /// Stream id.
    pub stream_id: StreamId,
    /// Version of the event in its stream, from 1.
    pub version: u64,
    /// Event type: its frozen wire name.
    pub event_type: &'static str,
    /// Schema version of the payload.
    pub schema_version: u32,
    /// Payload as JSON; stored byte for byte.
    pub payload: String,
    /// Sealed PHI (see [`crate::keys`]); empty if there is none.
    pub sealed: Vec<u8>,
    /// Metadata as JSON: actor, correlation, causation.
    pub metadata: String,
}

impl NewEvent {
    /// Returns the size of payload, sealed PHI and metadata together, in bytes.
    pub fn size(&self) -> usize {
        self.payload.len() + self.sealed.len() + self.metadata.len()
    }

    /// Computes the leaf hash of the event.
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

/// Key of a reservation: the SHA-256 of its kind, scope and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReservationKey(pub Digest);

/// A reservation of a unique key, with the outcome that later uses of the key return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// Key to reserve.
    pub key: ReservationKey,
    /// Outcome to store under the key.
    pub held: HeldReservation,
}

/// The stored outcome of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldReservation {
    /// SHA-256 of the request that reserved the key.
    pub request_hash: Digest,
    /// Stream of the resource that the request returned.
    pub stream_id: StreamId,
    /// Version of the resource that the request returned.
    pub version: u64,
    /// When the reservation expires, in milliseconds since the Unix epoch.
    pub expires_at_ms: i64,
}

/// A new data key of a patient, wrapped by the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPatientKey {
    /// Tenant of the patient.
    pub tenant_id: TenantId,
    /// Patient id.
    pub patient_id: PatientId,
    /// The wrapped key.
    pub wrapped: WrappedKey,
}

impl NewPatientKey {
    /// Returns the tenant and the patient.
    pub const fn patient(&self) -> (TenantId, PatientId) {
        (self.tenant_id, self.patient_id)
    }
}

/// A data key as stored: wrapped by the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Key id; every sealed part contains the id of its key.
    pub key_id: Uuid,
    /// The key, encrypted with the master key.
    pub wrapped: Vec<u8>,
}

/// The keys of a patient that the database knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownKeys {
    /// Current key, with which new PHI is sealed.
    pub key: Option<WrappedKey>,
    /// Whether the current key must be part of the patient's next append: no event has been sealed with it, and the
    /// log's key register does not contain it.
    pub is_waiting: bool,
    /// Ids of keys that were deleted on purpose and have a tombstone.
    pub erased: Vec<Uuid>,
    /// Ids of the patient's keys in the log's key register.
    pub registered: Vec<Uuid>,
}

impl KnownKeys {
    /// Returns the registered keys that neither exist nor have a tombstone.
    pub fn missing(&self) -> impl Iterator<Item = Uuid> {
        let current = self.key.as_ref().map(|key| key.key_id);
        let is_known = move |id: &&Uuid| Some(**id) == current || self.erased.contains(*id);
        self.registered
            .iter()
            .filter(move |id| !is_known(id))
            .copied()
    }
}

/// The state of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    /// The key exists.
    Kept(NewPatientKey),
    /// The key was deleted on purpose.
    Erased(Uuid),
}

impl KeyState {
    /// Returns the key id.
    pub const fn key_id(&self) -> Uuid {
        match self {
            Self::Kept(key) => key.wrapped.key_id,
            Self::Erased(key_id) => *key_id,
        }
    }
}

/// An entry of the log's key register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisteredKey {
    /// Number of the entry; increases from entry to entry.
    pub number: u64,
    /// Key id.
    pub key_id: Uuid,
}

/// An event as stored in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Position in the whole log: from 1 without gaps, in commit order.
    pub position: u64,
    /// Tenant of the event.
    pub tenant_id: TenantId,
    /// Stream type.
    pub stream_type: Arc<str>,
    /// Stream id.
    pub stream_id: StreamId,
    /// Version of the event in its stream, from 1.
    pub version: u64,
    /// Event id.
    pub event_id: EventId,
    /// Event type: its frozen wire name.
    pub event_type: Arc<str>,
    /// Schema version of the payload.
    pub schema_version: u32,
    /// When the event was recorded, in milliseconds since the Unix epoch. The database sets it under the append lock;
    /// it never decreases.
    pub recorded_at_ms: i64,
    /// Payload as JSON, byte for byte as written.
    pub payload: String,
    /// Sealed PHI; empty if there is none.
    pub sealed: Vec<u8>,
    /// Metadata as JSON: actor, correlation, causation.
    pub metadata: String,
    /// Stored leaf hash.
    pub leaf: Digest,
    /// Chain hash, which links the event to all before it.
    pub hash: Digest,
}

impl StoredEvent {
    /// Returns when the event was recorded; the Unix epoch if the stored number is not a valid time.
    pub fn recorded_at(&self) -> Timestamp {
        Timestamp::from_millis(self.recorded_at_ms).unwrap_or(Timestamp::EPOCH)
    }

    /// Computes the leaf hash of the stored event. It equals `leaf` unless the event was tampered with.
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

    /// Returns the approximate size in memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.payload.len() + self.sealed.len() + self.metadata.len()
    }
}

/// Appends that are sent to the database in one call. Within a batch, at most one append writes to a stream, and
/// reservation keys and patients of new keys are distinct.
#[derive(Debug)]
pub struct AppendBatch<'a> {
    /// The appends, in order.
    pub appends: Vec<&'a PreparedAppend>,
    /// Whether the batch, or part of it, may have been committed already. Events found at their versions with their own
    /// ids then count as written.
    pub resend: bool,
}

/// An append request with its precomputed leaf hashes.
#[derive(Debug, Clone)]
pub struct PreparedAppend {
    /// The request.
    pub append: Append,
    /// Leaf hash of each event.
    pub leaves: Vec<Digest>,
}

/// The result of a batch.
#[derive(Debug)]
pub struct BatchOutcome {
    /// Outcome of each append, in order.
    pub verdicts: Vec<AppendOutcome>,
    /// Head of the log before the batch; the first event written by the batch follows it.
    pub before: Head,
    /// When the events of the batch were recorded, in milliseconds since the Unix epoch.
    pub recorded_at_ms: i64,
}

/// The outcome of one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The append was written; its events follow those of the previous written append.
    Written,
    /// The append was written by an earlier attempt to send the same batch.
    AlreadyWritten {
        /// Position of the first event; the other events follow it.
        first_position: u64,
        /// When the events were recorded, in milliseconds since the Unix epoch.
        recorded_at_ms: i64,
    },
    /// A stream is not at the expected version. Nothing was written.
    Conflict {
        /// Stream id.
        stream_id: StreamId,
        /// Current version of the stream.
        actual: u64,
    },
    /// The key of a reservation is already taken. Nothing was written.
    KeyTaken {
        /// Stored outcome of the earlier reservation.
        held: HeldReservation,
    },
    /// A patient already has a key. Nothing was written.
    PatientKeyExists,
}

/// An acknowledged append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendReceipt {
    /// Position of the last event; for an append without events, the head at which it was checked.
    pub position: u64,
    /// When the events were recorded.
    pub recorded_at: Timestamp,
}

/// A filter on the events of the log. `None` and empty lists match all events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Events of this tenant only.
    pub tenant_id: Option<TenantId>,
    /// Events of these types only, by wire name.
    pub event_types: Vec<String>,
    /// Events of streams of this type only.
    pub stream_type: Option<String>,
    /// Events of this stream only.
    pub stream_id: Option<StreamId>,
    /// Events whose payload names this patient only.
    pub patient_id: Option<PatientId>,
    /// First events of streams only.
    pub beginnings: bool,
}

/// Remaining events of streams: those after the first event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamTails {
    /// The events, in the order in which the streams were requested; in version order within a stream.
    pub events: Vec<StoredEvent>,
    /// Number of requested streams, from the first on, whose events are complete: those that fit in `MAX_PAGE_BYTES`,
    /// and at least one.
    pub streams: usize,
}

/// The end of a chunk of remaining events: the stream that brings the chunk to `MAX_PAGE_BYTES` or more is the last.
#[derive(Debug, Default)]
pub(crate) struct TailsPageLimit {
    bytes: usize,
    last: Option<StreamId>,
}

impl TailsPageLimit {
    /// Returns whether the chunk ends before this event.
    pub(crate) fn is_before(&mut self, event: &StoredEvent) -> bool {
        let is_next = self.last.replace(event.stream_id) != Some(event.stream_id);
        let is_full = self.bytes >= MAX_PAGE_BYTES;
        self.bytes += event.memory_bytes();
        is_next && is_full
    }

    /// Returns the chunk, without the event after its end if `is_cut`.
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
    /// Last position covered by the page; the next page starts after it.
    pub scanned_to: u64,
}
