//! Patient keys and sealed PHI.
//!
//! An event's PHI members are one JSON object, sealed under the patient's key with AES-256-GCM (NIST SP 800-38D), a
//! random nonce, and the stream id and version as associated data. A sealed part names the key that sealed it, so that
//! what was sealed under a destroyed key reads as erased, also when the patient has a new key by now. Patient keys are
//! stored wrapped by the master key.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aes_gcm::aead::{Aead, Generate, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lru::LruCache;
use roentgen_domain::ids::{PatientId, StreamId, TenantId};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::lifecycle::Tasks;
use crate::log::{NewPatientKey, WrappedKey};

/// Why a sealed part cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not the form of a sealed part.
    #[error("a sealed part is out of form")]
    Form,
    /// The key is the right one, and the bytes are not what it sealed.
    #[error("a sealed part was altered")]
    Altered,
}

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The database was first opened with another master key.
    #[error("this database belongs to another master key")]
    OtherMasterKey,
    /// Not 32 bytes of base64.
    #[error("the master key must be 32 bytes, base64")]
    MasterKeyForm,
    /// A wrapped key does not open under the master key.
    #[error("a patient's key is damaged")]
    Damaged,
    /// The look-up was given up on.
    #[error("the key look-up is closing")]
    Closing,
    /// The database's own failure.
    #[error(transparent)]
    Engine(#[from] Arc<EngineError>),
}

/// The key that wraps patient keys: 32 bytes.
#[derive(Clone)]
pub struct MasterKey(Arc<Aes256Gcm>, [u8; 16]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([secret])")
    }
}

impl MasterKey {
    /// From 32 bytes, base64.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD
            .decode(text.trim())
            .map_err(|_| KeyError::MasterKeyForm)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::MasterKeyForm)?;
        let fingerprint = Sha256::new()
            .chain_update(b"roentgen.master.1")
            .chain_update(bytes);
        let mut short = [0; 16];
        short.copy_from_slice(fingerprint.finalize().get(..16).unwrap_or_default());
        Ok(Self(
            Arc::new(Aes256Gcm::new(&Key::<Aes256Gcm>::from(bytes))),
            short,
        ))
    }

    /// A new one, base64.
    pub fn generate() -> String {
        STANDARD.encode(Key::<Aes256Gcm>::generate())
    }

    /// Tells two master keys apart without telling the key.
    pub const fn fingerprint(&self) -> &[u8] {
        &self.1
    }

    fn wrap(&self, patient: (TenantId, PatientId), key_id: Uuid, key: &[u8]) -> Vec<u8> {
        encrypt(&self.0, key, &wrapping_context(patient, key_id))
    }

    fn unwrap(
        &self,
        patient: (TenantId, PatientId),
        stored: &WrappedKey,
    ) -> Result<PatientKey, KeyError> {
        let context = wrapping_context(patient, stored.key_id);
        let bytes = decrypt(&self.0, &stored.wrapped, &context).ok_or(KeyError::Damaged)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Damaged)?;
        let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(bytes));
        Ok(PatientKey {
            key_id: stored.key_id,
            cipher: Arc::new(cipher),
        })
    }
}

fn wrapping_context((tenant, patient): (TenantId, PatientId), key_id: Uuid) -> [u8; 48] {
    concat([
        *tenant.as_uuid().as_bytes(),
        *patient.as_uuid().as_bytes(),
        *key_id.as_bytes(),
    ])
}

fn concat(parts: [[u8; 16]; 3]) -> [u8; 48] {
    let mut whole = [0; 48];
    for (place, part) in whole.chunks_exact_mut(16).zip(parts) {
        place.copy_from_slice(&part);
    }
    whole
}

const NONCE_LEN: usize = 12;

/// Nonce, then ciphertext with its tag.
fn encrypt(cipher: &Aes256Gcm, plain: &[u8], context: &[u8]) -> Vec<u8> {
    let nonce = Nonce::generate();
    let sealed = cipher
        .encrypt(
            &nonce,
            Payload {
                msg: plain,
                aad: context,
            },
        )
        .unwrap_or_default();
    [nonce.as_slice(), &sealed].concat()
}

fn decrypt(cipher: &Aes256Gcm, sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce: [u8; NONCE_LEN] = nonce.try_into().ok()?;
    cipher
        .decrypt(
            &Nonce::from(nonce),
            Payload {
                msg: sealed,
                aad: context,
            },
        )
        .ok()
}

/// One patient's data key.
#[derive(Clone)]
pub struct PatientKey {
    key_id: Uuid,
    cipher: Arc<Aes256Gcm>,
}

impl fmt::Debug for PatientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatientKey({}, [secret])", self.key_id)
    }
}

const FORM: u8 = 1;

impl PatientKey {
    fn fresh(
        master: &MasterKey,
        patient: (TenantId, PatientId),
        key_id: Uuid,
    ) -> (Self, NewPatientKey) {
        let key = Key::<Aes256Gcm>::generate();
        let wrapped = WrappedKey {
            key_id,
            wrapped: master.wrap(patient, key_id, &key),
        };
        let new = NewPatientKey {
            tenant_id: patient.0,
            patient_id: patient.1,
            wrapped,
        };
        (
            Self {
                key_id,
                cipher: Arc::new(Aes256Gcm::new(&key)),
            },
            new,
        )
    }

    /// Seals the PHI of the event at `version` of `stream_id`: form (1 byte), key id (16), nonce (12), ciphertext, tag
    /// (16).
    pub fn seal(&self, phi: &[u8], stream_id: StreamId, version: u64) -> Vec<u8> {
        let sealed = encrypt(&self.cipher, phi, &sealing_context(stream_id, version));
        [&[FORM], self.key_id.as_bytes().as_slice(), &sealed].concat()
    }

    /// What was sealed; `None` where another key sealed it, which is destroyed by now.
    pub fn open(
        &self,
        sealed: &[u8],
        stream_id: StreamId,
        version: u64,
    ) -> Result<Option<Vec<u8>>, SealError> {
        let (form, rest) = sealed.split_first().ok_or(SealError::Form)?;
        let (key_id, rest) = rest.split_at_checked(16).ok_or(SealError::Form)?;
        if *form != FORM {
            return Err(SealError::Form);
        }
        if key_id != self.key_id.as_bytes() {
            return Ok(None);
        }
        decrypt(&self.cipher, rest, &sealing_context(stream_id, version))
            .map(Some)
            .ok_or(SealError::Altered)
    }
}

fn sealing_context(stream_id: StreamId, version: u64) -> [u8; 24] {
    let mut context = [0; 24];
    let (stream, number) = context.split_at_mut(16);
    stream.copy_from_slice(stream_id.as_uuid().as_bytes());
    number.copy_from_slice(&version.to_be_bytes());
    context
}

/// The sealed parts of a stream's events, as a read-model row carries them: for each event that has one its version
/// (be64), its length (be32) and its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealedParts(Vec<u8>);

impl SealedParts {
    /// As stored.
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// For storage.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Whether no event had a sealed part.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one event's part; an empty one is none.
    pub fn push(&mut self, version: u64, sealed: &[u8]) {
        let Ok(length) = u32::try_from(sealed.len()) else {
            return;
        };
        if length > 0 {
            self.0.extend_from_slice(&version.to_be_bytes());
            self.0.extend_from_slice(&length.to_be_bytes());
            self.0.extend_from_slice(sealed);
        }
    }

    /// Opens all parts and lays their members over one another, the latest on top; `None` where one of them cannot be
    /// opened because its key is destroyed.
    pub fn open(
        &self,
        stream_id: StreamId,
        key: Option<&PatientKey>,
    ) -> Result<Option<Map<String, Value>>, SealError> {
        let Some(key) = key else { return Ok(None) };
        let mut members = Map::new();
        let mut rest = self.0.as_slice();
        while !rest.is_empty() {
            let (version, sealed, after) = split_part(rest).ok_or(SealError::Form)?;
            rest = after;
            let Some(plain) = key.open(sealed, stream_id, version)? else {
                return Ok(None);
            };
            let part: Map<String, Value> =
                serde_json::from_slice(&plain).map_err(|_| SealError::Form)?;
            members.extend(part);
        }
        Ok(Some(members))
    }
}

fn split_part(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (version, rest) = bytes.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (sealed, rest) = rest.split_at_checked(length)?;
    Some((u64::from_be_bytes(*version), sealed, rest))
}

/// How long a cached key, or PHI that it opened, may outlive its row: an erasure reaches this node within twice as long.
pub const CACHED_FOR: Duration = Duration::from_secs(5);
const CACHED_KEYS: NonZeroUsize = NonZeroUsize::new(50_000).unwrap();
const WAITING_LOOKUPS: usize = 4096;
const LOOKUPS_AT_ONCE: usize = 256;

type Patient = (TenantId, PatientId);
type Answer = Result<Option<PatientKey>, KeyError>;
type Lookup = (Patient, oneshot::Sender<Answer>);

/// Patient keys, looked up in batches and cached.
#[derive(Debug, Clone)]
pub struct Keyring {
    master: MasterKey,
    cache: Arc<Mutex<LruCache<Patient, (PatientKey, Instant)>>>,
    lookups: mpsc::Sender<Lookup>,
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
        })
    }

    /// A patient's key, where there is one.
    pub async fn key(&self, tenant: TenantId, patient: PatientId) -> Answer {
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

    /// The key to seal a patient's PHI under: theirs, or a new one.
    pub async fn writing_key(
        &self,
        tenant: TenantId,
        patient: PatientId,
    ) -> Result<WritingKey, KeyError> {
        if let Some(key) = self.key(tenant, patient).await? {
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
        cache.put((tenant, patient), (key, Instant::now()));
    }

    fn cached(&self, patient: Patient) -> Option<PatientKey> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match cache.get(&patient) {
            Some((key, since)) if since.elapsed() < CACHED_FOR => Some(key.clone()),
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
        match engine.patient_keys(&patients).await {
            Ok(found) => {
                for ((patient, reply), stored) in batch.drain(..).zip(found) {
                    let key = stored.map(|it| master.unwrap(patient, &it)).transpose();
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
    use super::*;

    fn patient() -> Patient {
        (Uuid::from_u128(1).into(), Uuid::from_u128(2).into())
    }

    fn stream() -> StreamId {
        Uuid::from_u128(3).into()
    }

    fn master() -> MasterKey {
        MasterKey::parse(&MasterKey::generate()).unwrap()
    }

    fn fresh(master: &MasterKey) -> (PatientKey, NewPatientKey) {
        PatientKey::fresh(master, patient(), Uuid::from_u128(4))
    }

    #[test]
    fn what_is_sealed_opens_where_it_was_sealed_and_nowhere_else() {
        let (key, _) = fresh(&master());
        let sealed = key.seal(b"{}", stream(), 7);
        assert_eq!(key.open(&sealed, stream(), 7), Ok(Some(b"{}".to_vec())));
        assert_eq!(key.open(&sealed, stream(), 8), Err(SealError::Altered));
        assert_eq!(
            key.open(&sealed, Uuid::from_u128(9).into(), 7),
            Err(SealError::Altered)
        );
        assert_eq!(key.open(&[], stream(), 7), Err(SealError::Form));
    }

    #[test]
    fn one_text_is_never_sealed_twice_alike() {
        let (key, _) = fresh(&master());
        assert_ne!(key.seal(b"x", stream(), 1), key.seal(b"x", stream(), 1));
    }

    #[test]
    fn what_another_key_sealed_is_erased() {
        let master = master();
        let (old, _) = fresh(&master);
        let (new, _) = PatientKey::fresh(&master, patient(), Uuid::from_u128(5));
        assert_eq!(
            new.open(&old.seal(b"x", stream(), 1), stream(), 1),
            Ok(None)
        );
    }

    #[test]
    fn a_wrapped_key_opens_under_its_master_and_patient_only() {
        let one = master();
        let (key, new) = fresh(&one);
        let back = one.unwrap(patient(), &new.wrapped).unwrap();
        let sealed = key.seal(b"x", stream(), 1);
        assert_eq!(back.open(&sealed, stream(), 1), Ok(Some(b"x".to_vec())));
        assert!(matches!(
            master().unwrap(patient(), &new.wrapped),
            Err(KeyError::Damaged)
        ));
        let other = (patient().0, Uuid::from_u128(9).into());
        assert!(matches!(
            one.unwrap(other, &new.wrapped),
            Err(KeyError::Damaged)
        ));
    }

    #[test]
    fn parts_lie_over_one_another_in_order() {
        let (key, _) = fresh(&master());
        let mut parts = SealedParts::default();
        parts.push(1, &key.seal(br#"{"a":1,"b":1}"#, stream(), 1));
        parts.push(2, &[]);
        parts.push(3, &key.seal(br#"{"b":2}"#, stream(), 3));
        let members = parts.open(stream(), Some(&key)).unwrap().unwrap();
        assert_eq!(Value::Object(members), serde_json::json!({"a": 1, "b": 2}));
        assert_eq!(parts.open(stream(), None), Ok(None));
    }

    #[test]
    fn one_erased_part_makes_the_whole_erased() {
        let master = master();
        let (old, _) = fresh(&master);
        let (new, _) = PatientKey::fresh(&master, patient(), Uuid::from_u128(5));
        let mut parts = SealedParts::default();
        parts.push(1, &old.seal(br#"{"a":1}"#, stream(), 1));
        parts.push(2, &new.seal(br#"{"b":1}"#, stream(), 2));
        assert_eq!(parts.open(stream(), Some(&new)), Ok(None));
    }

    #[test]
    fn keys_never_print_themselves() {
        let text = MasterKey::generate();
        let master = MasterKey::parse(&text).unwrap();
        let (key, _) = fresh(&master);
        assert!(!format!("{master:?} {key:?}").contains(&text));
        assert!(matches!(
            MasterKey::parse("c2hvcnQ="),
            Err(KeyError::MasterKeyForm)
        ));
    }
}
