//! Patient keys and sealed PHI.
//!
//! An event's PHI members are one JSON object, sealed under the patient's key with AES-256-GCM (NIST SP 800-38D), a
//! random nonce, and the stream id and version as associated data. A sealed part names the key that sealed it. What was
//! sealed under a key that has a tombstone reads as erased, also when the patient has a new key by now; a key that is
//! neither there nor has a tombstone is missing, which is an error and never an erasure. Patient keys are stored
//! wrapped by the master key.

mod form;
mod held;
mod keyring;
mod sealed_phi;
mod tie;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use aes_gcm::aead::{Aead, Generate, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use roentgen_domain::ids::{PatientId, StreamId, TenantId};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::error::EngineError;
use crate::log::{NewPatientKey, WrappedKey};
use form::Header;
pub use held::{MissingKeys, PatientKeys};
pub use keyring::{KEY_CACHE_TTL, KeyLookup, Keyring, WriteKey};
pub use sealed_phi::{PhiAtVersion, SealedPhi};
pub use tie::{KeyBinding, KeyMismatch, misfit};

/// Why a sealed part cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not the form of a sealed part.
    #[error("malformed sealed PHI")]
    Malformed,
    /// The key is the right one, and the bytes are not what it sealed.
    #[error("sealed PHI failed authentication")]
    Tampered,
    /// The part names a key that is neither there nor has a tombstone.
    #[error("the key of a sealed part is missing")]
    KeyMissing,
}

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Log, keys and master key do not belong together.
    #[error(transparent)]
    Misfit(#[from] KeyMismatch),
    /// Not 32 bytes of base64.
    #[error("master key must be 32 bytes, base64-encoded")]
    MalformedMasterKey,
    /// Too few distinct bytes for random ones.
    #[error("the master key is weak: {WEAK}")]
    MasterKeyWeak,
    /// A patient has a key in the log's list that is neither there nor has a tombstone.
    #[error("a patient's key is missing")]
    Missing,
    /// A wrapped key does not open under the master key.
    #[error("patient key cannot be unwrapped")]
    CorruptPatientKey,
    /// A secret does not open under the master key, its tenant and its id.
    #[error("secret cannot be decrypted")]
    CorruptSecret,
    /// The look-up was given up on.
    #[error("key lookup is shutting down")]
    Closing,
    /// The database's own failure.
    #[error(transparent)]
    Engine(#[from] Arc<EngineError>),
}

/// What a weak key lacks.
pub const WEAK: &str = "it must have at least 16 distinct bytes";

const MIN_DISTINCT_BYTES: usize = 16;

/// Whether a secret has fewer distinct bytes than random ones have: a default, a repeated letter, a word. Random bytes
/// in hexadecimal may lack a digit or two, so of those the bytes that they stand for count as well.
pub fn is_weak(secret: &[u8]) -> bool {
    let is_hex = secret.iter().all(u8::is_ascii_hexdigit);
    let pairs = secret.chunks(2).map(<[u8]>::to_ascii_lowercase);
    distinct(secret.iter()) < MIN_DISTINCT_BYTES
        && !(is_hex && distinct(pairs) >= MIN_DISTINCT_BYTES)
}

fn distinct<T: Ord>(things: impl Iterator<Item = T>) -> usize {
    things.collect::<BTreeSet<T>>().len()
}

/// Makes 32 random bytes that are fit for a key.
pub fn random_key() -> [u8; 32] {
    Key::<Aes256Gcm>::generate().into()
}

/// The key that wraps patient keys and seals secrets, and from which the viewer's key is derived: 32 bytes.
#[derive(Clone)]
pub struct MasterKey {
    cipher: Arc<Aes256Gcm>,
    fingerprint: [u8; 16],
    viewer: [u8; 32],
    cursors: Hmac<Sha256>,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([secret])")
    }
}

impl MasterKey {
    /// Parses a master key: 32 bytes, base64-encoded.
    ///
    /// # Errors
    ///
    /// [`KeyError::MalformedMasterKey`] if it is not that, or weak.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD
            .decode(text.trim())
            .map_err(|_| KeyError::MalformedMasterKey)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::MalformedMasterKey)?;
        if is_weak(&bytes) {
            return Err(KeyError::MasterKeyWeak);
        }
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
            cursors: cursor_mac(bytes)?,
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

    /// What authenticates the cursors of lists, under a key that is derived. A cursor need not outlast the master key.
    pub const fn cursor_mac(&self) -> &Hmac<Sha256> {
        &self.cursors
    }

    /// Seals a secret for the place `context` stands for.
    pub(crate) fn seal_secret(&self, secret: &[u8], context: &[u8; 32]) -> Vec<u8> {
        encrypt(&self.cipher, secret, context)
    }

    /// The secret, where this key sealed it for this place.
    pub(crate) fn open_secret(&self, sealed: &[u8], context: &[u8; 32]) -> Option<Vec<u8>> {
        decrypt(&self.cipher, sealed, context)
    }

    /// Whether this key opens a patient's key.
    pub fn opens(&self, key: &NewPatientKey) -> bool {
        let patient = (key.tenant_id, key.patient_id);
        self.unwrap(patient, &key.wrapped, Instant::now()).is_ok()
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
        let bytes =
            decrypt(&self.cipher, &stored.wrapped, &context).ok_or(KeyError::CorruptPatientKey)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::CorruptPatientKey)?;
        let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(bytes));
        Ok(PatientKey {
            key_id: stored.key_id,
            cipher: Arc::new(cipher),
            seen,
        })
    }
}

/// Two steps: the first derives a key for this purpose alone.
fn cursor_mac(master: [u8; 32]) -> Result<Hmac<Sha256>, KeyError> {
    let mut key = mac_under(&master)?;
    key.update(b"roentgen.cursors.1");
    mac_under(&key.finalize().into_bytes())
}

fn mac_under(key: &[u8]) -> Result<Hmac<Sha256>, KeyError> {
    Hmac::new_from_slice(key).map_err(|_| KeyError::MalformedMasterKey)
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

    /// When the database was asked for the key, or when the key was made. From then on the key, and whatever it opened,
    /// is used for [`KEY_CACHE_TTL`].
    pub const fn seen(&self) -> Instant {
        self.seen
    }

    /// Seals the PHI of the event at `version` of `stream_id`: the header that says which key sealed which members (see
    /// `keys/form.rs`), nonce (12 bytes), ciphertext, tag (16).
    pub fn seal(&self, phi: &[u8], stream_id: StreamId, version: u64) -> Vec<u8> {
        self.seal_with(&Header::new(self.key_id, phi), phi, stream_id, version)
    }

    fn seal_with(&self, header: &Header, phi: &[u8], stream_id: StreamId, version: u64) -> Vec<u8> {
        let context = sealing_context(stream_id, version, header);
        let sealed = encrypt(&self.cipher, phi, &context);
        [header.to_bytes(), sealed].concat()
    }

    /// Opens sealed PHI; `None` if another key sealed it.
    ///
    /// # Errors
    ///
    /// [`SealError::Malformed`] or [`SealError::Tampered`] if the bytes are not what was sealed at this stream and
    /// version.
    pub fn open(
        &self,
        sealed: &[u8],
        stream_id: StreamId,
        version: u64,
    ) -> Result<Option<Vec<u8>>, SealError> {
        let (header, rest) = Header::parse(sealed).ok_or(SealError::Malformed)?;
        if header.key_id != self.key_id {
            return Ok(None);
        }
        metrics::counter!("roentgen_sealed_parts_opened_total").increment(1);
        decrypt(
            &self.cipher,
            rest,
            &sealing_context(stream_id, version, &header),
        )
        .map(Some)
        .ok_or(SealError::Tampered)
    }
}

/// The id of the key that sealed a part.
fn key_id_of(sealed: &[u8]) -> Result<Uuid, SealError> {
    let (_, rest) = sealed.split_first().ok_or(SealError::Malformed)?;
    let (key_id, _) = rest.split_first_chunk::<16>().ok_or(SealError::Malformed)?;
    Ok(Uuid::from_bytes(*key_id))
}

/// The id of the key that sealed an event's part; `None` if the part is out of form.
pub fn sealing_key(sealed: &[u8]) -> Option<Uuid> {
    key_id_of(sealed).ok()
}

fn sealing_context(stream_id: StreamId, version: u64, header: &Header) -> Vec<u8> {
    let stream_id = stream_id.as_uuid();
    let place = [stream_id.as_bytes().as_slice(), &version.to_be_bytes()];
    [place.concat(), header.context()].concat()
}

type Patient = (TenantId, PatientId);

#[cfg(test)]
mod tests;
