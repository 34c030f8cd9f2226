//! Secrets given by flag, environment variable or file.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use roentgen_store::error::WEAK;
use roentgen_store::keys::{MasterKey, is_weak};
use secrecy::{ExposeSecret, SecretString};

use super::secret_file;

/// Minimum length of the shared secret in bytes: the digest length of HS256 (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// Secret flags.
#[derive(Args, Clone)]
pub struct SecretOptions {
    /// Shared secret for HS256 tokens, at least 32 bytes.
    #[arg(
        long,
        env = "ROENTGEN_JWT_SECRET",
        global = true,
        hide_env_values = true
    )]
    pub jwt_secret: Option<SecretString>,
    /// File with that secret, readable by its owner only.
    #[arg(long, env = "ROENTGEN_JWT_SECRET_FILE", global = true)]
    pub jwt_secret_file: Option<PathBuf>,
    /// Master key that wraps patient keys: 32 bytes, base64.
    #[arg(
        long,
        env = "ROENTGEN_MASTER_KEY",
        global = true,
        hide_env_values = true
    )]
    pub master_key: Option<SecretString>,
    /// File with that key, readable by its owner only.
    #[arg(long, env = "ROENTGEN_MASTER_KEY_FILE", global = true)]
    pub master_key_file: Option<PathBuf>,
}

impl fmt::Debug for SecretOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretOptions")
    }
}

/// Given secrets.
pub(super) struct SecretInput {
    pub(super) jwt_secret: Option<SecretString>,
    pub(super) master_key: Option<MasterKey>,
}

type Note<'a> = &'a mut dyn FnMut(&str, &dyn fmt::Display);

impl SecretOptions {
    /// Returns whether a JWT secret is given, valid or not.
    pub(super) const fn has_jwt_secret(&self) -> bool {
        self.jwt_secret.is_some() || self.jwt_secret_file.is_some()
    }

    /// Returns whether a master key is given, valid or not.
    pub(super) const fn has_master_key(&self) -> bool {
        self.master_key.is_some() || self.master_key_file.is_some()
    }

    /// Reads and validates the secrets, and reports each error.
    pub(super) fn resolve(&self, note: Note<'_>) -> SecretInput {
        let secret = self.jwt_secret.as_ref();
        let file = self.jwt_secret_file.as_deref();
        let jwt_secret = given("jwt-secret", secret, file, note);
        if let Some(secret) = &jwt_secret {
            check_secret(secret.expose_secret().as_bytes(), note);
        }
        let key = self.master_key.as_ref();
        let file = self.master_key_file.as_deref();
        let master_key = given("master-key", key, file, note).map(|text| {
            let key = MasterKey::parse(text.expose_secret());
            key.map_err(|refused| note("master-key", &refused))
        });
        SecretInput {
            jwt_secret,
            master_key: master_key.and_then(Result::ok),
        }
    }
}

fn check_secret(secret: &[u8], note: Note<'_>) {
    if secret.len() < MIN_SECRET_BYTES {
        note("jwt-secret", &"must be at least 32 bytes");
    } else if is_weak(secret) {
        note("jwt-secret", &format_args!("is weak: {WEAK}"));
    }
}

/// Returns one secret: its text, or its file's content without surrounding white space.
fn given(
    name: &str,
    text: Option<&SecretString>,
    file: Option<&Path>,
    note: Note<'_>,
) -> Option<SecretString> {
    let Some(path) = file else {
        return text.cloned();
    };
    let file_name = format!("{name}-file");
    if text.is_some() {
        note(&file_name, &format_args!("cannot be given with --{name}"));
        return None;
    }
    match secret_file::read(path) {
        Ok(text) => Some(text.trim().to_owned().into()),
        Err(refused) => {
            note(&file_name, &format_args!("{}: {refused}", path.display()));
            None
        }
    }
}
