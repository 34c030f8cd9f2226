//! The keys with which a patient's PHI is opened: the current key, and those that were deleted on purpose.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aes_gcm::Aes256Gcm;
use roentgen_domain::ids::StreamId;
use uuid::Uuid;

use super::{PatientKey, key_id_of};
use crate::error::SealError;
use crate::log::NewPatientKey;

/// A patient's keys. A part sealed neither with the current key nor with an erased one cannot be opened: its key is
/// missing.
#[derive(Clone, Default)]
pub struct PatientKeys {
    pub(super) current: Option<PatientKey>,
    /// Row of the current key, if it must be part of the patient's next append.
    pub(super) waiting: Option<NewPatientKey>,
    /// Keys with a tombstone.
    pub(super) erased: Arc<[Uuid]>,
    /// Keys in the log's key register that neither exist nor have a tombstone.
    pub(super) missing: Arc<[Uuid]>,
    /// Whether the keys were read from the database. Keys that are only assumed can seal but not open.
    pub(super) is_looked_up: bool,
    pub(super) noted: MissingKeys,
}

impl fmt::Debug for PatientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatientKeys")
            .field("current", &self.current)
            .field("erased", &self.erased)
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}

impl PatientKeys {
    /// Returns the key with which new PHI is sealed, if any.
    pub const fn current(&self) -> Option<&PatientKey> {
        self.current.as_ref()
    }

    /// Returns when the current key was requested from the database ([`PatientKey::seen`]); `None` if there is none.
    pub fn seen(&self) -> Option<Instant> {
        self.current.as_ref().map(PatientKey::seen)
    }

    /// Returns the size in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        let listed = size_of_val(&*self.erased) + size_of_val(&*self.missing);
        let wrapped = self
            .waiting
            .as_ref()
            .map_or(0, |row| row.wrapped.wrapped.len());
        size_of::<Self>() + size_of::<Aes256Gcm>() + listed + wrapped
    }

    /// Opens sealed PHI; `None` if its key was deleted on purpose.
    ///
    /// # Errors
    ///
    /// [`SealError::KeyMissing`] if the named key neither exists nor has a tombstone; the key is recorded for
    /// readiness. [`SealError::Malformed`] or [`SealError::Tampered`] if the part is corrupt.
    pub fn open(
        &self,
        sealed: &[u8],
        stream_id: StreamId,
        version: u64,
    ) -> Result<Option<Vec<u8>>, SealError> {
        let key_id = key_id_of(sealed)?;
        if self.erased.contains(&key_id) {
            return Ok(None);
        }
        let opened = match &self.current {
            Some(key) => key.open(sealed, stream_id, version)?,
            None => None,
        };
        if opened.is_none() {
            self.noted.note(key_id);
            return Err(SealError::KeyMissing);
        }
        Ok(opened)
    }
}

/// The missing keys that this process encountered.
#[derive(Debug, Clone, Default)]
pub struct MissingKeys(Arc<Mutex<BTreeSet<Uuid>>>);

/// Maximum number of missing keys recorded; a single one makes the node not ready.
const REMEMBERED: usize = 1000;

impl MissingKeys {
    /// Records a missing key, and logs it the first time.
    pub(super) fn note(&self, key_id: Uuid) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < REMEMBERED && noted.insert(key_id) {
            tracing::error!(
                event = "keys.missing",
                %key_id,
                "patient key is missing and has no tombstone",
            );
            metrics::gauge!("roentgen_missing_keys").set(noted.len() as f64);
        }
    }

    pub(super) fn all(&self) -> Vec<Uuid> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.iter().copied().collect()
    }

    /// Removes keys that were found. Returns the number of keys that are still missing.
    pub(super) fn found(&self, key_ids: impl Iterator<Item = Uuid>) -> usize {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key_id in key_ids {
            noted.remove(&key_id);
        }
        metrics::gauge!("roentgen_missing_keys").set(noted.len() as f64);
        noted.len()
    }
}
