//! Patient keys and sealed PHI.
//!
//! An event's PHI members are one JSON object, sealed under the patient's key with AES-256-GCM (NIST SP 800-38D), a
//! random nonce, and the stream id and version as associated data. A sealed part names the key that sealed it, so that
//! what was sealed under a destroyed key reads as erased, also when the patient has a new key by now. Patient keys are
//! stored wrapped by the master key.

mod keyring;
mod parts;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use aes_gcm::aead::{Aead, Generate, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roentgen_domain::ids::{PatientId, StreamId, TenantId};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::error::EngineError;
use crate::log::{NewPatientKey, WrappedKey};
pub use keyring::{CACHED_FOR, Finding, Keyring, WritingKey};
pub use parts::{OpenedPart, SealedParts};

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
    /// A secret does not open under the master key, its tenant and its id.
    #[error("a secret is damaged")]
    DamagedSecret,
    /// The look-up was given up on.
    #[error("the key look-up is closing")]
    Closing,
    /// The database's own failure.
    #[error(transparent)]
    Engine(#[from] Arc<EngineError>),
}

/// The key that wraps patient keys and seals secrets, and from which the viewer's key is derived: 32 bytes.
#[derive(Clone)]
pub struct MasterKey {
    cipher: Arc<Aes256Gcm>,
    fingerprint: [u8; 16],
    viewer: [u8; 32],
}

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
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(
            derived(b"roentgen.master.1", bytes)
                .get(..16)
                .unwrap_or(&[0; 16]),
        );
        Ok(Self {
            cipher: Arc::new(Aes256Gcm::new(&Key::<Aes256Gcm>::from(bytes))),
            fingerprint,
            viewer: derived(b"roentgen.viewer.1", bytes),
        })
    }

    /// A new one, base64.
    pub fn generate() -> String {
        STANDARD.encode(Key::<Aes256Gcm>::generate())
    }

    /// Tells two master keys apart without telling the key.
    pub const fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    /// The key that signs viewer tokens: derived, so that nodes that share a database agree on it.
    pub const fn viewer_key(&self) -> &[u8; 32] {
        &self.viewer
    }

    /// Seals a secret for the place `context` stands for.
    pub(crate) fn seal_secret(&self, secret: &[u8], context: &[u8; 32]) -> Vec<u8> {
        encrypt(&self.cipher, secret, context)
    }

    /// The secret, where this key sealed it for this place.
    pub(crate) fn open_secret(&self, sealed: &[u8], context: &[u8; 32]) -> Option<Vec<u8>> {
        decrypt(&self.cipher, sealed, context)
    }

    fn wrap(&self, patient: Patient, key_id: Uuid, key: &[u8]) -> Vec<u8> {
        encrypt(&self.cipher, key, &wrapping_context(patient, key_id))
    }

    /// The key that `stored` wraps, which was in the database at `seen` or later.
    fn unwrap(
        &self,
        patient: Patient,
        stored: &WrappedKey,
        seen: Instant,
    ) -> Result<PatientKey, KeyError> {
        let context = wrapping_context(patient, stored.key_id);
        let bytes = decrypt(&self.cipher, &stored.wrapped, &context).ok_or(KeyError::Damaged)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Damaged)?;
        let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(bytes));
        Ok(PatientKey {
            key_id: stored.key_id,
            cipher: Arc::new(cipher),
            seen,
        })
    }
}

fn derived(purpose: &[u8], master: [u8; 32]) -> [u8; 32] {
    let digest = Sha256::new().chain_update(purpose).chain_update(master);
    digest.finalize().into()
}

fn wrapping_context((tenant, patient): Patient, key_id: Uuid) -> [u8; 48] {
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
    seen: Instant,
}

impl fmt::Debug for PatientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatientKey({}, [secret])", self.key_id)
    }
}

const FORM: u8 = 1;

impl PatientKey {
    fn fresh(master: &MasterKey, patient: Patient, key_id: Uuid) -> (Self, NewPatientKey) {
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
                seen: Instant::now(),
            },
            new,
        )
    }

    /// When the database was asked for the key, or when the key was made. From then on the key, and whatever it opened, is
    /// used for [`CACHED_FOR`].
    pub const fn seen(&self) -> Instant {
        self.seen
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
        metrics::counter!("roentgen_sealed_parts_opened_total").increment(1);
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

type Patient = (TenantId, PatientId);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

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
        let back = one.unwrap(patient(), &new.wrapped, Instant::now()).unwrap();
        let sealed = key.seal(b"x", stream(), 1);
        assert_eq!(back.open(&sealed, stream(), 1), Ok(Some(b"x".to_vec())));
        assert!(matches!(
            master().unwrap(patient(), &new.wrapped, Instant::now()),
            Err(KeyError::Damaged)
        ));
        let other = (patient().0, Uuid::from_u128(9).into());
        assert!(matches!(
            one.unwrap(other, &new.wrapped, Instant::now()),
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
