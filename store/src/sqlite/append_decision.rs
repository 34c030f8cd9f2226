//! What becomes of each append of a batch, given what the log holds.

use std::collections::HashMap;

use roentgen_domain::ids::{EventId, PatientId, StreamId, TenantId};
use uuid::Uuid;

use crate::chain::GENESIS;
use crate::log::{
    Append, AppendBatch, AppendOutcome, Head, HeldReservation, NewPatientKey, Reservation,
    ReservationKey,
};

/// By patient, what the keys file has.
pub(super) type ExistingKeys = HashMap<(TenantId, PatientId), ExistingKey>;

/// A patient's keys in the keys file.
#[derive(Debug, Default)]
pub(super) struct ExistingKey {
    /// The id of the key that stands.
    pub(super) key_id: Option<Uuid>,
    /// The ids of keys with a tombstone.
    pub(super) erased: Vec<Uuid>,
}

/// All that a batch must know of the log, as it stands under the write lock.
#[derive(Debug)]
pub(super) struct AppendSnapshot {
    pub(super) head: Head,
    /// When the last event was recorded.
    pub(super) recorded_at_ms: i64,
    /// The checked streams that exist.
    pub(super) versions: HashMap<StreamId, u64>,
    /// The asked claims that are taken and not expired.
    pub(super) held: HashMap<ReservationKey, HeldReservation>,
    /// Of appends that may have been sent before, what stands where their first events would, by its event id.
    pub(super) standing: HashMap<EventId, WrittenEvent>,
    /// The keys of the batch's new patients.
    pub(super) standing_keys: ExistingKeys,
    /// The keys that the log lists for them.
    pub(super) registered: Vec<(TenantId, PatientId, Uuid)>,
}

impl AppendSnapshot {
    /// At an empty log.
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

    /// Whether the log lists a key for the patient that is neither this one nor has a tombstone.
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

/// An event that stands already.
#[derive(Debug, Clone, Copy)]
pub(super) struct WrittenEvent {
    pub(super) position: u64,
    pub(super) recorded_at_ms: i64,
}

/// One verdict an append, in order. No stream that is written stands in two appends, so each is decided by itself.
pub(super) fn decide(batch: &AppendBatch<'_>, look: &AppendSnapshot) -> Vec<AppendOutcome> {
    batch
        .appends
        .iter()
        .map(|append| verdict(&append.append, look, batch.resend))
        .collect()
}

/// The first that applies, in this order on both engines.
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
    // Claims without events have no event id to be known by; on a resend, the very same claim is the earlier sending's.
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

/// Also where another key of the patient is missing: whoever looks is told so.
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
