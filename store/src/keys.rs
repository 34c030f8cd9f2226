//! Patient keys and sealed PHI.
//!
//! The PHI members of an event are one JSON object, sealed with the patient's key by AES-256-GCM (NIST SP 800-38D),
//! with a random nonce and the stream id and version as associated data. A sealed part contains the id of its key. PHI
//! sealed with a key that has a tombstone reads as erased, even if the patient has a new key. A key that neither exists
//! nor has a tombstone is missing, which is an error and never an erasure. Patient keys are stored wrapped by the
//! master key.

mod binding;
mod form;
mod held;
mod keyring;
mod sealed_phi;

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

use crate::error::{KeyError, SealError};
use crate::log::{NewPatientKey, WrappedKey};
pub use binding::key_mismatch;
use form::Header;
pub use held::{MissingKeys, PatientKeys};
pub use keyring::{KEY_CACHE_TTL, KeyLookup, Keyring, WriteKey};
pub use sealed_phi::{PhiAtVersion, SealedPhi};

const MIN_DISTINCT_BYTES: usize = 16;

/// Returns whether a secret has fewer distinct bytes than a random one: a default, a repeated letter, a word. Random
/// bytes in hexadecimal may lack a digit or two, so the decoded bytes of a hexadecimal secret count as well.
pub fn is_weak(secret: &[u8]) -> bool {
    let is_hex = secret.iter().all(u8::is_ascii_hexdigit);
    let pairs = secret.chunks(2).map(<[u8]>::to_ascii_lowercase);
    distinct(secret.iter()) < MIN_DISTINCT_BYTES
        && !(is_hex && distinct(pairs) >= MIN_DISTINCT_BYTES)
}

fn distinct<T: Ord>(things: impl Iterator<Item = T>) -> usize {
    things.collect::<BTreeSet<T>>().len()
}

/// Generates a random key of 32 bytes.
pub fn random_key() -> [u8; 32] {
    Key::<Aes256Gcm>::generate().into()
}

/// The master key, 32 bytes: it wraps patient keys and seals secrets, and the viewer key is derived from it.
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
    /// [`KeyError::MalformedMasterKey`] if the text is malformed, [`KeyError::MasterKeyWeak`] if the key is weak.
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

    /// Generates a master key, base64-encoded.
    pub fn generate() -> String {
        STANDARD.encode(Key::<Aes256Gcm>::generate())
    }

    /// Returns a fingerprint that distinguishes master keys without revealing the key.
    pub const fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    /// Returns the key that signs viewer tokens. It is derived, so that all nodes of a database have the same one.
    pub const fn viewer_key(&self) -> &[u8; 32] {
        &self.viewer
    }

    /// Returns the MAC that authenticates list cursors, with a derived key. A cursor need not outlive the master key.
    pub const fn cursor_mac(&self) -> &Hmac<Sha256> {
        &self.cursors
    }

    /// Seals a secret, with `context` as associated data.
    pub(crate) fn seal_secret(&self, secret: &[u8], context: &[u8; 32]) -> Vec<u8> {
        encrypt(&self.cipher, secret, context)
    }

    /// Opens a secret; `None` if it was not sealed with this key and context.
    pub(crate) fn open_secret(&self, sealed: &[u8], context: &[u8; 32]) -> Option<Vec<u8>> {
        decrypt(&self.cipher, sealed, context)
    }

    /// Returns whether this key unwraps a patient's key.
    pub fn opens(&self, key: &NewPatientKey) -> bool {
        let patient = (key.tenant_id, key.patient_id);
        self.unwrap(patient, &key.wrapped, Instant::now()).is_ok()
    }

    fn wrap(&self, patient: Patient, key_id: Uuid, key: &[u8]) -> Vec<u8> {
        encrypt(&self.cipher, key, &wrapping_context(patient, key_id))
    }

    /// Unwraps the key in `stored`, which was in the database at `seen` or later.
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

/// Derives the MAC in two steps: the first derives a key for this purpose only.
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

/// Encrypts with a random nonce. Returns the nonce, then the ciphertext with its tag.
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

/// The data key of a patient.
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

    /// Returns when the key was requested from the database, or when it was generated. The key, and everything it
    /// opened, is used for [`KEY_CACHE_TTL`] from then on.
    pub const fn seen(&self) -> Instant {
        self.seen
    }

    /// Seals the PHI of the event at `version` of `stream_id`. Returns the header, which names the key and the sealed
    /// members (see `keys/form.rs`), the nonce (12 bytes), the ciphertext and the tag (16 bytes).
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
    /// [`SealError::Malformed`] or [`SealError::Tampered`] if the bytes are not what was sealed for this stream and
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

/// Returns the id of the key that sealed a part.
fn key_id_of(sealed: &[u8]) -> Result<Uuid, SealError> {
    let (_, rest) = sealed.split_first().ok_or(SealError::Malformed)?;
    let (key_id, _) = rest.split_first_chunk::<16>().ok_or(SealError::Malformed)?;
    Ok(Uuid::from_bytes(*key_id))
}

/// Returns the id of the key that sealed an event's PHI; `None` if the sealed part is malformed.
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
