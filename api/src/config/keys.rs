//! The keys in force, and where each came from.

use std::fmt;
use std::path::Path;

use roentgen_store::keys::MasterKey;
use secrecy::{ExposeSecret as _, SecretString};

use super::secrets::SecretInput;
use super::{ConfigErrors, Purpose, dev_keys};

/// Where the keys came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySources {
    pub(super) jwt_secret: KeySource,
    pub(super) master_key: KeySource,
}

/// Where one key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeySource {
    Configured,
    Generated,
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "[configured]",
            Self::Generated => "[generated, stored in the data directory]",
        })
    }
}

pub(super) type ConfiguredKeys = (Option<SecretString>, Option<MasterKey>, KeySources);

/// The keys that were given, and those that `--dev` made up. A tool makes none, and takes a master key that was made up
/// before.
pub(super) fn keys(
    given: SecretInput,
    purpose: Purpose,
    directory: &Path,
) -> Result<ConfiguredKeys, ConfigErrors> {
    let kept = |name: &str| {
        let path = directory.join(name);
        let key = match purpose {
            Purpose::Serving | Purpose::Token => dev_keys::load_or_generate(&path).map(Some),
            Purpose::Tool => dev_keys::found(&path),
        };
        key.map_err(|error| {
            ConfigErrors(vec![format!("{name} in {}: {error}", directory.display())])
        })
    };
    let source = |is_given: bool| {
        if is_given {
            KeySource::Configured
        } else {
            KeySource::Generated
        }
    };
    let sources = KeySources {
        jwt_secret: source(given.jwt_secret.is_some()),
        master_key: source(given.master_key.is_some()),
    };
    let jwt_secret = match (given.jwt_secret, purpose) {
        (Some(secret), _) => Some(secret),
        (None, Purpose::Tool) => None,
        (None, Purpose::Serving | Purpose::Token) => kept("dev-jwt-secret")?,
    };
    let master_key = match (given.master_key, purpose) {
        (Some(key), _) => Some(key),
        (None, Purpose::Token) => None,
        (None, Purpose::Serving | Purpose::Tool) => kept("dev-master-key")?
            .map(|text| MasterKey::parse(text.expose_secret()))
            .transpose()
            .map_err(|error| ConfigErrors(vec![error.to_string()]))?,
    };
    Ok((jwt_secret, master_key, sources))
}
