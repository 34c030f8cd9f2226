//! Key that signs published events, and the format of the signed text.
//!
//! Any client with permission to publish on NATS can publish arbitrary messages, including an event's type and
//! position. A consumer therefore verifies `ce-signature`: Ed25519 (RFC 8032) over id, position and type of the event
//! and the SHA-256 of the body, with a key that NATS does not have.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use ed25519_dalek::{Signer as _, SigningKey};
use roentgen_store::log::StoredEvent;
use sha2::{Digest as _, Sha256};

/// Name of the signed format.
const FORM: &str = "roentgen.event.1";
const FINGERPRINT_BYTES: usize = 16;

/// Error for a text that is not an Ed25519 private key in PKCS#8 PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an Ed25519 private key (PKCS#8, PEM), as `openssl genpkey -algorithm ed25519` makes one"
)]
pub struct InvalidEventKey;

/// Key that signs events.
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
    /// Parses a private key (PKCS#8, PEM).
    ///
    /// # Errors
    ///
    /// [`InvalidEventKey`] if the text is not such a key. The error does not contain the text.
    pub fn parse(pem: &str) -> Result<Self, InvalidEventKey> {
        let signing = SigningKey::from_pkcs8_pem(pem.trim()).map_err(|_| InvalidEventKey)?;
        let public_pem = signing.verifying_key().to_public_key_pem(LineEnding::LF);
        Ok(Self {
            public_pem: public_pem.map_err(|_| InvalidEventKey)?,
            signing,
        })
    }

    /// Encodes a private key from 32 random bytes as PEM.
    ///
    /// # Errors
    ///
    /// [`InvalidEventKey`] if the key cannot be encoded.
    pub fn encode(random: &[u8; 32]) -> Result<String, InvalidEventKey> {
        let pem = SigningKey::from_bytes(random).to_pkcs8_pem(LineEnding::LF);
        Ok(pem.map_err(|_| InvalidEventKey)?.to_string())
    }

    /// Returns the public key (SPKI, PEM) for consumers.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// Returns the first 16 bytes of the SHA-256 of the public key, to distinguish keys.
    pub fn fingerprint(&self) -> Vec<u8> {
        let digest = Sha256::digest(self.signing.verifying_key().as_bytes());
        digest.iter().copied().take(FINGERPRINT_BYTES).collect()
    }

    /// Returns the value of `ce-signature`, in base64.
    pub(crate) fn sign(&self, event: &StoredEvent) -> String {
        let signature = self.signing.sign(signed(event).as_bytes());
        STANDARD.encode(signature.to_bytes())
    }
}

/// Returns the signed text: five lines with format, id, position, type, and the SHA-256 of the body in hexadecimal.
/// None of the values can contain a line break.
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
