//! Builders of appends for the tests.

use roentgen_domain::ids::{EventId, PatientId, StreamId, TenantId};
use roentgen_store::clock::{fresh_id, now_ms};
use roentgen_store::log::{
    Append, ExpectedVersion, HeldReservation, NewEvent, NewPatientKey, Reservation, ReservationKey,
    WrappedKey,
};
use uuid::Uuid;

pub(crate) const STREAM_TYPE: &str = "ImagingOrder";

pub(crate) fn tenant() -> TenantId {
    Uuid::from_u128(7).into()
}

pub(crate) fn stream() -> StreamId {
    fresh_id().into()
}

pub(crate) fn event(stream_id: StreamId, version: u64) -> NewEvent {
    NewEvent {
        event_id: EventId::from(fresh_id()),
        tenant_id: tenant(),
        stream_type: STREAM_TYPE,
        stream_id,
        version,
        event_type: "ImagingOrder.Created",
        schema_version: 1,
        payload: format!(r#"{{"n": {version}, "stream": "{stream_id}"}}"#),
        sealed: vec![1, 2, 3],
        metadata: r#"{"actor": {"sub": "system"}}"#.to_owned(),
    }
}

/// Returns an event that a database must reject: its payload is not JSON.
pub(crate) fn unstorable_event(stream_id: StreamId, version: u64) -> NewEvent {
    NewEvent {
        payload: "{\"n\": ".to_owned(),
        ..event(stream_id, version)
    }
}

pub(crate) fn check(stream_id: StreamId, expected: u64) -> ExpectedVersion {
    ExpectedVersion {
        stream_id,
        expected,
    }
}

/// Returns an append of `count` events to one stream at version `expected`.
pub(crate) fn to(stream_id: StreamId, expected: u64, count: u64) -> Append {
    Append {
        checks: vec![check(stream_id, expected)],
        events: (1..=count)
            .map(|n| event(stream_id, expected + n))
            .collect(),
        ..Append::default()
    }
}

/// Returns an append of one event to each of these streams at the given versions.
pub(crate) fn append_to_each(streams: &[(StreamId, u64)]) -> Append {
    Append {
        checks: streams.iter().map(|(id, at)| check(*id, *at)).collect(),
        events: streams.iter().map(|(id, at)| event(*id, at + 1)).collect(),
        ..Append::default()
    }
}

pub(crate) fn key() -> ReservationKey {
    let mut key = [7; 32];
    key[..16].copy_from_slice(fresh_id().as_bytes());
    ReservationKey(key)
}

/// Returns the outcome stored with a reservation for a stream's first version, valid for 1 h.
pub(crate) fn held_by(stream_id: StreamId) -> HeldReservation {
    HeldReservation {
        request_hash: [9; 32],
        stream_id,
        version: 1,
        expires_at_ms: now_ms() + 3_600_000,
    }
}

pub(crate) fn claim(key: ReservationKey, stream_id: StreamId) -> Reservation {
    let held = held_by(stream_id);
    Reservation { key, held }
}

pub(crate) fn patient() -> PatientId {
    fresh_id().into()
}

pub(crate) fn key_of(patient_id: PatientId) -> NewPatientKey {
    NewPatientKey {
        tenant_id: tenant(),
        patient_id,
        wrapped: WrappedKey {
            key_id: fresh_id(),
            wrapped: vec![5; 60],
        },
    }
}
