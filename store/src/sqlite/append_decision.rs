//! Decides the outcome of each append of a batch from the state of the log.

use std::collections::HashMap;

use roentgen_domain::ids::{EventId, PatientId, StreamId, TenantId};
use uuid::Uuid;

use crate::chain::{GENESIS, Head};
use crate::log::{
    Append, AppendBatch, AppendOutcome, HeldReservation, NewPatientKey, Reservation, ReservationKey,
};

/// Keys in the keys file, by patient.
pub(super) type ExistingKeys = HashMap<(TenantId, PatientId), ExistingKey>;

/// Keys of one patient in the keys file.
#[derive(Debug, Default)]
pub(super) struct ExistingKey {
    /// Id of the stored key.
    pub(super) key_id: Option<Uuid>,
    /// Ids of keys with a tombstone.
    pub(super) erased: Vec<Uuid>,
}

/// State of the log that a batch depends on, read under the write lock.
#[derive(Debug)]
pub(super) struct AppendSnapshot {
    pub(super) head: Head,
    /// Time at which the last event was recorded.
    pub(super) recorded_at_ms: i64,
    /// Versions of the checked streams that exist.
    pub(super) versions: HashMap<StreamId, u64>,
    /// Requested reservations that are taken and not expired.
    pub(super) held: HashMap<ReservationKey, HeldReservation>,
    /// For appends that may be resends: the stored event at the stream and version of the first event, by event id.
    pub(super) standing: HashMap<EventId, WrittenEvent>,
    /// Stored keys of the batch's new patients.
    pub(super) standing_keys: ExistingKeys,
    /// Keys that the log lists for the batch's new patients.
    pub(super) registered: Vec<(TenantId, PatientId, Uuid)>,
}

impl AppendSnapshot {
    /// Returns the snapshot of an empty log.
    pub(super) fn empty(standing_keys: ExistingKeys) -> Self {
        Self {
            head: Head {
                position: 0,
                hash: GENESIS,
            },
            recorded_at_ms: i64::MIN,
            versions: HashMap::new(),
            held: HashMap::new(),
            standing: HashMap::new(),
            standing_keys,
            registered: Vec::new(),
        }
    }

    /// Checks whether the log lists a key for the patient that is neither the new key nor has a tombstone.
    fn has_other_registered(&self, new: &NewPatientKey, standing: &ExistingKey) -> bool {
        let own = |pair: &&(TenantId, PatientId, Uuid)| {
            (pair.0, pair.1) == (new.tenant_id, new.patient_id)
        };
        let mut others = self.registered.iter().filter(own);
        others.any(|(_, _, key_id)| {
            *key_id != new.wrapped.key_id && !standing.erased.contains(key_id)
        })
    }
}

/// Event that is already in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct WrittenEvent {
    pub(super) position: u64,
    pub(super) recorded_at_ms: i64,
}

/// Returns one outcome per append, in order. No written stream is in two appends, so each append is decided separately.
pub(super) fn decide(batch: &AppendBatch<'_>, look: &AppendSnapshot) -> Vec<AppendOutcome> {
    batch
        .appends
        .iter()
        .map(|append| verdict(&append.append, look, batch.resend))
        .collect()
}

/// Returns the first outcome that applies; the order is the same on both engines.
fn verdict(append: &Append, look: &AppendSnapshot, resend: bool) -> AppendOutcome {
    already_written(append, look)
        .or_else(|| claimed(append, look, resend))
        .or_else(|| patient_key_exists(append, look))
        .or_else(|| conflict(append, look))
        .unwrap_or(AppendOutcome::Written)
}

fn already_written(append: &Append, look: &AppendSnapshot) -> Option<AppendOutcome> {
    let WrittenEvent {
        position,
        recorded_at_ms,
    } = *look.standing.get(&append.events.first()?.event_id)?;
    Some(AppendOutcome::AlreadyWritten {
        first_position: position,
        recorded_at_ms,
    })
}

fn claimed(append: &Append, look: &AppendSnapshot, resend: bool) -> Option<AppendOutcome> {
    // Reservations without events have no event id to recognise; on a resend, the same reservation is from the first
    // attempt.
    let may_be_ours = resend && append.events.is_empty();
    let taken = |claim: &Reservation| {
        let held = look.held.get(&claim.key).copied()?;
        (!may_be_ours || held != claim.held).then_some(held)
    };
    append
        .claims
        .iter()
        .find_map(taken)
        .map(|held| AppendOutcome::KeyTaken { held })
}

/// Checks for another key of the patient, including one that is missing: the caller's lookup then reports it.
fn patient_key_exists(append: &Append, look: &AppendSnapshot) -> Option<AppendOutcome> {
    let other = append.patient_keys.iter().any(|new| {
        let standing = look.standing_keys.get(&(new.tenant_id, new.patient_id));
        standing.is_some_and(|standing| {
            standing.key_id != Some(new.wrapped.key_id) || look.has_other_registered(new, standing)
        })
    });
    other.then_some(AppendOutcome::PatientKeyExists)
}

fn conflict(append: &Append, look: &AppendSnapshot) -> Option<AppendOutcome> {
    append.checks.iter().find_map(|check| {
        let actual = look.versions.get(&check.stream_id).copied().unwrap_or(0);
        let stream_id = check.stream_id;
        (actual != check.expected).then_some(AppendOutcome::Conflict { stream_id, actual })
    })
}
