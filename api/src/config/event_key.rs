//! The key that signs the events that go to NATS: a file that is given, or one in the data directory.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use roentgen_relay::EventKey;
use roentgen_store::keys::random_key;
use secrecy::ExposeSecret as _;

use super::{generated, secret_file};

/// Its name in the data directory.
const NAME: &str = "event-key.pem";

/// Where the key is, and whether it may be made.
#[derive(Debug, Clone)]
pub(crate) struct EventKeyFile {
    path: PathBuf,
    is_made: bool,
}

impl EventKeyFile {
    /// The given file, or the one in the data directory, which is made in `--dev`.
    pub(super) fn new(given: Option<&Path>, directory: &Path, dev: bool) -> Self {
        match given {
            Some(path) => Self {
                path: path.to_owned(),
                is_made: false,
            },
            None => Self {
                path: directory.join(NAME),
                is_made: dev,
            },
        }
    }

    /// Reads the key.
    ///
    /// # Errors
    ///
    /// Names the file, and says how a key is made.
    pub(crate) fn read(&self) -> anyhow::Result<EventKey> {
        if self.is_made {
            return self.made();
        }
        let text = secret_file::read(&self.path).with_context(|| {
            format!(
                "the key that signs published events cannot be read from {}; \
                 `roentgen event-key --make` makes one",
                self.path.display()
            )
        })?;
        self.parsed(&text)
    }

    /// Reads the key, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// Names the file.
    pub(crate) fn made(&self) -> anyhow::Result<EventKey> {
        let fresh = EventKey::encode(&random_key())?;
        let text = generated::kept_as(&self.path, &fresh);
        let text = text.with_context(|| self.path.display().to_string())?;
        self.parsed(text.expose_secret())
    }

    fn parsed(&self, pem: &str) -> anyhow::Result<EventKey> {
        EventKey::parse(pem).with_context(|| self.path.display().to_string())
    }
}
