//! The key that signs events on their way out, and what is signed.
//!
//! Whoever may publish on NATS can publish anything, an event's type and position included. A consumer therefore checks
//! `ce-signature`: Ed25519 (RFC 8032) over the event's id, position and type and the SHA-256 of the body, by a key that
//! NATS does not have.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use ed25519_dalek::{Signer as _, SigningKey};
use roentgen_store::log::StoredEvent;
use sha2::{Digest as _, Sha256};

/// Names the form of what is signed.
const FORM: &str = "roentgen.event.1";
const FINGERPRINT_BYTES: usize = 16;

/// The text is not an Ed25519 private key in PKCS#8, PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an Ed25519 private key (PKCS#8, PEM), as `openssl genpkey -algorithm ed25519` makes one"
)]
pub struct InvalidEventKey;

/// Signs events.
#[derive(Clone)]
pub struct EventKey {
    signing: SigningKey,
    public_pem: String,
}

impl fmt::Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventKey([secret])")
    }
}

impl EventKey {
    /// Reads a private key (PKCS#8, PEM).
    ///
    /// # Errors
    ///
    /// [`InvalidEventKey`], without the text.
    pub fn parse(pem: &str) -> Result<Self, InvalidEventKey> {
        let signing = SigningKey::from_pkcs8_pem(pem.trim()).map_err(|_| InvalidEventKey)?;
        let public_pem = signing.verifying_key().to_public_key_pem(LineEnding::LF);
        Ok(Self {
            public_pem: public_pem.map_err(|_| InvalidEventKey)?,
            signing,
        })
    }

    /// Makes the PEM text of a private key from 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidEventKey`] if the key cannot be encoded.
    pub fn encode(random: &[u8; 32]) -> Result<String, InvalidEventKey> {
        let pem = SigningKey::from_bytes(random).to_pkcs8_pem(LineEnding::LF);
        Ok(pem.map_err(|_| InvalidEventKey)?.to_string())
    }

    /// The public key (SPKI, PEM), for consumers.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// Tells two keys apart: the beginning of the SHA-256 of the public key.
    pub fn fingerprint(&self) -> Vec<u8> {
        let digest = Sha256::digest(self.signing.verifying_key().as_bytes());
        digest.iter().copied().take(FINGERPRINT_BYTES).collect()
    }

    /// The value of `ce-signature`, in base64.
    pub(crate) fn sign(&self, event: &StoredEvent) -> String {
        let signature = self.signing.sign(signed(event).as_bytes());
        STANDARD.encode(signature.to_bytes())
    }
}

/// Five lines, none of which can hold a line's end: form, id, position, type, and the body's SHA-256 in hexadecimal.
fn signed(event: &StoredEvent) -> String {
    let digest = Sha256::digest(event.payload.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let id = event.event_id;
    let position = event.position;
    let kind = &event.event_type;
    format!("{FORM}\n{id}\n{position}\n{kind}\n{hex}")
}

#[cfg(test)]
pub(crate) mod tests;
