//! The keyring: lookup of patient keys in batches, with a cache.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use roentgen_domain::ids::{PatientId, TenantId};
use tokio::sync::{mpsc, oneshot};

use super::{MasterKey, MissingKeys, Patient, PatientKey, PatientKeys, key_mismatch};
use crate::engine::{KeyBinding, KeyStore};
use crate::error::{EngineError, KeyError};
use crate::lifecycle::BackgroundTasks;
use crate::log::{KnownKeys, NewPatientKey};
use crate::weighed::WeightedLru;

/// How long a key, and PHI opened with it, is used after the key was requested from the database. An erasure reaches
/// every node within this time, because all caches count from the same moment, [`PatientKey::seen`].
pub const KEY_CACHE_TTL: Duration = Duration::from_secs(5);
/// Size limit of all cached keys, in bytes; enough for more than 50,000 patients.
const CACHED_BYTES: usize = 64 * 1024 * 1024;
const WAITING_LOOKUPS: usize = 4096;
const LOOKUPS_AT_ONCE: usize = 256;

type KeyLookupResult = Result<PatientKeys, KeyError>;
type Lookup = (Patient, oneshot::Sender<KeyLookupResult>);

/// Patient keys, looked up in batches and cached.
#[derive(Debug, Clone)]
pub struct Keyring {
    master: MasterKey,
    cache: Arc<Mutex<WeightedLru<TenantId, PatientId, PatientKeys>>>,
    lookups: mpsc::Sender<Lookup>,
    missing: MissingKeys,
    /// Whether the last patient looked up for a write had no key.
    newcomers: Arc<AtomicBool>,
}

/// How to obtain a key for sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyLookup {
    /// If the last patient looked up was new, assume that this one is new too; the append rejects a wrong assumption.
    Optimistic,
    /// Look up the patient's keys.
    Verified,
}

/// The key for sealing, and its row if the append must include it.
#[derive(Debug, Clone)]
pub struct WriteKey {
    /// Key for sealing.
    pub key: PatientKey,
    /// Row of the key, if the log's key register does not contain the key yet.
    pub new: Option<NewPatientKey>,
}

impl Keyring {
    /// Opens the keyring of a database and starts its lookup task.
    ///
    /// # Errors
    ///
    /// [`KeyError::Mismatch`] if log, keys and master key do not belong together.
    pub async fn open(
        store: Arc<dyn KeyStore>,
        master: MasterKey,
        tasks: &BackgroundTasks,
    ) -> Result<Self, KeyError> {
        let found = key_mismatch(&*store, master.fingerprint(), KeyBinding::Bind).await;
        if let Some(mismatch) = found.map_err(Arc::new)? {
            return Err(mismatch.into());
        }
        let (lookups, waiting) = mpsc::channel(WAITING_LOOKUPS);
        let cache = Arc::new(Mutex::new(WeightedLru::new(CACHED_BYTES)));
        let missing = MissingKeys::default();
        let looking = KeyLookupWorker {
            store,
            master: master.clone(),
            missing: missing.clone(),
        };
        tasks.spawn("key look-ups", looking.answer(waiting, tasks.token()));
        Ok(Self {
            master,
            cache,
            lookups,
            missing,
            newcomers: Arc::default(),
        })
    }

    /// Returns a patient's keys as stored in the database, at most [`KEY_CACHE_TTL`] old.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the database fails or the lookup task is shutting down.
    pub async fn keys(&self, tenant: TenantId, patient: PatientId) -> KeyLookupResult {
        metrics::counter!("roentgen_key_lookups_total").increment(1);
        let cached = self.cached((tenant, patient));
        if let Some(keys) = cached.filter(|keys| keys.is_looked_up) {
            return Ok(keys);
        }
        let (reply, answer) = oneshot::channel();
        let asked = self.lookups.send(((tenant, patient), reply)).await;
        asked.map_err(|_| KeyError::Closing)?;
        let found = answer.await.map_err(|_| KeyError::Closing)??;
        if found.current.is_some() {
            self.remember((tenant, patient), found.clone());
        }
        Ok(found)
    }

    /// Returns how many of the missing keys that this process encountered are still missing.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails.
    pub async fn still_missing(&self, store: &dyn KeyStore) -> Result<usize, EngineError> {
        let noted = self.missing.all();
        if noted.is_empty() {
            return Ok(0);
        }
        let found = store.keys_by_id(&noted).await?;
        Ok(self.missing.found(found.iter().map(|key| key.key_id())))
    }

    /// Returns the key for sealing a patient's PHI: the current key, or a new one. With [`KeyLookup::Optimistic`] the
    /// append may fail with `PatientKeyExists`; the caller then retries with [`KeyLookup::Verified`].
    ///
    /// # Errors
    ///
    /// [`KeyError::Missing`] if a registered key of the patient neither exists nor has a tombstone: PHI sealed with a
    /// second key could not be read after the first key is restored.
    pub async fn key_for_write(
        &self,
        tenant: TenantId,
        patient: PatientId,
        finding: KeyLookup,
    ) -> Result<WriteKey, KeyError> {
        let known = match self.cached((tenant, patient)) {
            Some(keys) => keys,
            None if finding == KeyLookup::Optimistic && self.newcomers.load(Ordering::Relaxed) => {
                PatientKeys::default()
            }
            None => {
                let found = self.keys(tenant, patient).await?;
                let is_newcomer = found.current.is_none();
                self.newcomers.store(is_newcomer, Ordering::Relaxed);
                found
            }
        };
        if let Some(key_id) = known.missing.first() {
            self.missing.note(*key_id);
            return Err(KeyError::Missing);
        }
        if let Some(key) = known.current {
            let new = known.waiting;
            return Ok(WriteKey { key, new });
        }
        let key_id = crate::clock::fresh_id();
        let (key, new) = PatientKey::fresh(&self.master, (tenant, patient), key_id);
        Ok(WriteKey {
            key,
            new: Some(new),
        })
    }

    /// Caches a key whose row is known to exist. The patient's other keys remain unknown.
    pub fn cache(&self, tenant: TenantId, patient: PatientId, key: PatientKey) {
        let keys = PatientKeys {
            current: Some(key),
            ..PatientKeys::default()
        };
        self.remember((tenant, patient), keys);
    }

    fn remember(&self, (tenant, patient): Patient, keys: PatientKeys) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cache.peek(tenant, &patient);
        if known.is_none_or(|known| known.seen() <= keys.seen()) {
            let bytes = keys.weight();
            cache.put(tenant, patient, keys, bytes);
        }
    }

    fn cached(&self, (tenant, patient): Patient) -> Option<PatientKeys> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match cache.get(tenant, &patient) {
            Some(keys) if keys.seen().is_some_and(is_fresh) => Some(keys.clone()),
            Some(_) => {
                cache.pop(tenant, &patient);
                None
            }
            None => None,
        }
    }
}

fn is_fresh(seen: Instant) -> bool {
    seen.elapsed() < KEY_CACHE_TTL
}

/// Answers lookups: all waiting ones, at most 256, with one query.
struct KeyLookupWorker {
    store: Arc<dyn KeyStore>,
    master: MasterKey,
    missing: MissingKeys,
}

impl KeyLookupWorker {
    async fn answer(
        self,
        mut waiting: mpsc::Receiver<Lookup>,
        stop: tokio_util::sync::CancellationToken,
    ) {
        let mut batch = Vec::with_capacity(LOOKUPS_AT_ONCE);
        loop {
            let some = tokio::select! {
                some = waiting.recv_many(&mut batch, LOOKUPS_AT_ONCE) => some,
                () = stop.cancelled() => 0,
            };
            if some == 0 {
                return;
            }
            let patients: Vec<Patient> = batch.iter().map(|(patient, _)| *patient).collect();
            let seen = Instant::now();
            match self.store.patient_keys(&patients).await {
                Ok(found) => {
                    for ((patient, reply), known) in batch.drain(..).zip(found) {
                        let _ = reply.send(self.unwrapped(patient, known, seen));
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    for (_, reply) in batch.drain(..) {
                        let _ = reply.send(Err(Arc::clone(&error).into()));
                    }
                }
            }
            batch.clear();
        }
    }

    /// Unwraps the keys that the database returned at `seen`. A key with a tombstone counts as erased, even if a
    /// restored table contains its row again.
    fn unwrapped(&self, patient: Patient, known: KnownKeys, seen: Instant) -> KeyLookupResult {
        let missing = known.missing().collect();
        let kept = known.key.filter(|key| !known.erased.contains(&key.key_id));
        let current = kept
            .as_ref()
            .map(|key| self.master.unwrap(patient, key, seen));
        let waiting = kept.filter(|_| known.is_waiting);
        let waiting = waiting.map(|wrapped| NewPatientKey {
            tenant_id: patient.0,
            patient_id: patient.1,
            wrapped,
        });
        Ok(PatientKeys {
            current: current.transpose()?,
            waiting,
            erased: known.erased.into(),
            missing,
            is_looked_up: true,
            noted: self.missing.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn patient() -> Patient {
        (Uuid::from_u128(1).into(), Uuid::from_u128(2).into())
    }

    /// Returns a keyring whose lookups are never answered.
    fn keyring() -> Keyring {
        Keyring {
            master: MasterKey::parse(&MasterKey::generate()).unwrap(),
            cache: Arc::new(Mutex::new(WeightedLru::new(CACHED_BYTES))),
            lookups: mpsc::channel(1).0,
            missing: MissingKeys::default(),
            newcomers: Arc::default(),
        }
    }

    fn key(keyring: &Keyring, seen: Instant) -> PatientKey {
        let (_, new) = PatientKey::fresh(&keyring.master, patient(), Uuid::from_u128(4));
        let key = keyring.master.unwrap(patient(), &new.wrapped, seen);
        key.unwrap()
    }

    /// Returns the keys as a lookup would.
    fn looked_up(keyring: &Keyring, seen: Instant) -> PatientKeys {
        PatientKeys {
            current: Some(key(keyring, seen)),
            is_looked_up: true,
            ..PatientKeys::default()
        }
    }

    #[tokio::test]
    async fn key_is_used_for_its_time_from_the_question_on_whenever_it_is_learned() {
        let keyring = keyring();
        let (tenant, patient) = patient();
        let old = Instant::now().checked_sub(KEY_CACHE_TTL).unwrap();
        keyring.remember((tenant, patient), looked_up(&keyring, old));
        let asked = keyring.keys(tenant, patient).await;
        assert!(matches!(asked, Err(KeyError::Closing)), "it was looked up");
        keyring.remember((tenant, patient), looked_up(&keyring, Instant::now()));
        let known = keyring.keys(tenant, patient).await.unwrap();
        assert!(known.current().is_some());
    }

    #[tokio::test]
    async fn older_knowledge_does_not_replace_newer() {
        let keyring = keyring();
        let (tenant, patient) = patient();
        let old = Instant::now().checked_sub(KEY_CACHE_TTL).unwrap();
        keyring.remember((tenant, patient), looked_up(&keyring, Instant::now()));
        keyring.cache(tenant, patient, key(&keyring, old));
        let known = keyring.keys(tenant, patient).await.unwrap();
        assert!(known.current().is_some());
    }
}
