//! Patient keys, looked up in batches and cached.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use roentgen_domain::ids::{PatientId, TenantId};
use tokio::sync::{mpsc, oneshot};

use super::{KeyError, MasterKey, Patient, PatientKey};
use crate::engine::Engine;
use crate::lifecycle::Tasks;
use crate::log::NewPatientKey;

/// How long a key, and PHI that it opened, is used after the database was asked for the key. An erasure reaches every
/// node within this time: all caches count from the same moment, [`PatientKey::seen`].
pub const CACHED_FOR: Duration = Duration::from_secs(5);
const CACHED_KEYS: NonZeroUsize = NonZeroUsize::new(50_000).unwrap();
const WAITING_LOOKUPS: usize = 4096;
const LOOKUPS_AT_ONCE: usize = 256;

type Answer = Result<Option<PatientKey>, KeyError>;
type Lookup = (Patient, oneshot::Sender<Answer>);

/// Patient keys, looked up in batches and cached.
#[derive(Debug, Clone)]
pub struct Keyring {
    master: MasterKey,
    cache: Arc<Mutex<LruCache<Patient, PatientKey>>>,
    lookups: mpsc::Sender<Lookup>,
    /// Whether the last patient who was looked up to be written about had no key.
    newcomers: Arc<AtomicBool>,
}

/// How to come by a key to seal under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// While newcomers come, take it without looking that a patient is one; the append finds out.
    Guessed,
    /// Look.
    Looked,
}

/// The key to seal under, and what the append must carry where it is a new one.
#[derive(Debug, Clone)]
pub struct WritingKey {
    /// The key.
    pub key: PatientKey,
    /// Its row, where the patient had none.
    pub new: Option<NewPatientKey>,
}

impl Keyring {
    /// A keyring over this database. Refuses a master key other than the one it was first opened with.
    pub async fn open(
        engine: Arc<dyn Engine>,
        master: MasterKey,
        tasks: &Tasks,
    ) -> Result<Self, KeyError> {
        let known = engine
            .master_key_fingerprint(master.fingerprint())
            .await
            .map_err(Arc::new)?;
        if known != master.fingerprint() {
            return Err(KeyError::OtherMasterKey);
        }
        let (lookups, waiting) = mpsc::channel(WAITING_LOOKUPS);
        let cache = Arc::new(Mutex::new(LruCache::new(CACHED_KEYS)));
        tasks.spawn(
            "key look-ups",
            look_up(engine, master.clone(), waiting, tasks.token()),
        );
        Ok(Self {
            master,
            cache,
            lookups,
            newcomers: Arc::default(),
        })
    }

    /// A patient's key, where there is one.
    pub async fn key(&self, tenant: TenantId, patient: PatientId) -> Answer {
        metrics::counter!("roentgen_key_lookups_total").increment(1);
        if let Some(key) = self.cached((tenant, patient)) {
            return Ok(Some(key));
        }
        let (reply, answer) = oneshot::channel();
        let asked = self.lookups.send(((tenant, patient), reply)).await;
        asked.map_err(|_| KeyError::Closing)?;
        let found = answer.await.map_err(|_| KeyError::Closing)??;
        if let Some(key) = &found {
            self.learn(tenant, patient, key.clone());
        }
        Ok(found)
    }

    /// The key to seal a patient's PHI under: theirs, or a new one. A new one that rests on a guess may be refused as
    /// `PatientKeyExists`; then ask again, and look.
    pub async fn writing_key(
        &self,
        tenant: TenantId,
        patient: PatientId,
        finding: Finding,
    ) -> Result<WritingKey, KeyError> {
        let known = match self.cached((tenant, patient)) {
            Some(key) => Some(key),
            None if finding == Finding::Guessed && self.newcomers.load(Ordering::Relaxed) => None,
            None => {
                let found = self.key(tenant, patient).await?;
                self.newcomers.store(found.is_none(), Ordering::Relaxed);
                found
            }
        };
        if let Some(key) = known {
            return Ok(WritingKey { key, new: None });
        }
        let key_id = crate::clock::fresh_id();
        let (key, new) = PatientKey::fresh(&self.master, (tenant, patient), key_id);
        Ok(WritingKey {
            key,
            new: Some(new),
        })
    }

    /// Remembers a key whose row is known to be there.
    pub fn learn(&self, tenant: TenantId, patient: PatientId, key: PatientKey) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = cache.peek(&(tenant, patient));
        if newer.is_none_or(|known| known.seen() <= key.seen()) {
            cache.put((tenant, patient), key);
        }
    }

    fn cached(&self, patient: Patient) -> Option<PatientKey> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match cache.get(&patient) {
            Some(key) if key.seen().elapsed() < CACHED_FOR => Some(key.clone()),
            Some(_) => {
                cache.pop(&patient);
                None
            }
            None => None,
        }
    }
}

/// Answers look-ups, all that wait in one query.
async fn look_up(
    engine: Arc<dyn Engine>,
    master: MasterKey,
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
        match engine.patient_keys(&patients).await {
            Ok(found) => {
                for ((patient, reply), stored) in batch.drain(..).zip(found) {
                    let key = stored
                        .map(|row| master.unwrap(patient, &row, seen))
                        .transpose();
                    let _ = reply.send(key);
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn patient() -> Patient {
        (Uuid::from_u128(1).into(), Uuid::from_u128(2).into())
    }

    /// A keyring whose look-ups nobody answers.
    fn keyring() -> Keyring {
        Keyring {
            master: MasterKey::parse(&MasterKey::generate()).unwrap(),
            cache: Arc::new(Mutex::new(LruCache::new(CACHED_KEYS))),
            lookups: mpsc::channel(1).0,
            newcomers: Arc::default(),
        }
    }

    fn key(keyring: &Keyring, seen: Instant) -> PatientKey {
        let (_, new) = PatientKey::fresh(&keyring.master, patient(), Uuid::from_u128(4));
        let key = keyring.master.unwrap(patient(), &new.wrapped, seen);
        key.unwrap()
    }

    #[tokio::test]
    async fn key_is_used_for_its_time_from_the_question_on_whenever_it_is_learned() {
        let keyring = keyring();
        let (tenant, patient) = patient();
        let old = Instant::now().checked_sub(CACHED_FOR).unwrap();
        keyring.learn(tenant, patient, key(&keyring, old));
        let asked = keyring.key(tenant, patient).await;
        assert!(matches!(asked, Err(KeyError::Closing)), "it was looked up");
        keyring.learn(tenant, patient, key(&keyring, Instant::now()));
        assert!(keyring.key(tenant, patient).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn older_knowledge_does_not_replace_newer() {
        let keyring = keyring();
        let (tenant, patient) = patient();
        let old = Instant::now().checked_sub(CACHED_FOR).unwrap();
        keyring.learn(tenant, patient, key(&keyring, Instant::now()));
        keyring.learn(tenant, patient, key(&keyring, old));
        assert!(keyring.key(tenant, patient).await.unwrap().is_some());
    }
}
