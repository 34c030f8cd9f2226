//! Key that signs events published to NATS: a given file, or one in the data directory.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use roentgen_relay::EventKey;
use roentgen_store::keys::random_key;
use secrecy::ExposeSecret as _;

use super::dev_keys;
use super::secret_file::{self, SecretFileError};

/// File name in the data directory.
const NAME: &str = "event-key.pem";
/// Flag that names another file.
const FLAG: &str = "event-key-file";

/// Path of the key, and whether a missing key may be generated.
#[derive(Debug, Clone)]
pub(crate) struct EventKeyFile {
    path: PathBuf,
    is_made: bool,
}

type Note<'a> = &'a mut dyn FnMut(&str, &dyn fmt::Display);

impl EventKeyFile {
    /// Returns the given file, or the one in the data directory, generated in `--dev`; `None` if neither is known.
    pub(super) fn new(given: Option<&Path>, directory: Option<&Path>, dev: bool) -> Option<Self> {
        match (given, directory) {
            (Some(path), _) => Some(Self {
                path: path.to_owned(),
                is_made: false,
            }),
            (None, Some(directory)) => Some(Self {
                path: directory.join(NAME),
                is_made: dev,
            }),
            (None, None) => None,
        }
    }

    /// Reports errors in the key of a server that publishes. A missing key that may be generated is no error.
    pub(super) fn check(&self, note: Note<'_>) {
        let text = match secret_file::read(&self.path) {
            Ok(text) => text,
            Err(refused) if is_missing(&refused) => {
                if !self.is_made {
                    let path = self.path.display();
                    note(
                        FLAG,
                        &format_args!("{path}: {refused}; `roentgen event-key --make` makes one"),
                    );
                }
                return;
            }
            Err(refused) => {
                note(FLAG, &format_args!("{}: {refused}", self.path.display()));
                return;
            }
        };
        if let Err(malformed) = EventKey::parse(&text) {
            note(FLAG, &format_args!("{}: {malformed}", self.path.display()));
        }
    }

    /// Reads the key.
    ///
    /// # Errors
    ///
    /// Names the file and how to generate a key.
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

    /// Reads the key, generating it if the file does not exist.
    ///
    /// # Errors
    ///
    /// Names the file.
    pub(crate) fn made(&self) -> anyhow::Result<EventKey> {
        let fresh = EventKey::encode(&random_key())?;
        let text = dev_keys::kept_as(&self.path, &fresh);
        let text = text.with_context(|| self.path.display().to_string())?;
        self.parsed(text.expose_secret())
    }

    fn parsed(&self, pem: &str) -> anyhow::Result<EventKey> {
        EventKey::parse(pem).with_context(|| self.path.display().to_string())
    }
}

/// Prints the path for `roentgen config`.
impl fmt::Display for EventKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

fn is_missing(refused: &SecretFileError) -> bool {
    matches!(refused, SecretFileError::Io(error) if error.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn noted(file: Option<EventKeyFile>) -> Vec<String> {
        let mut noted = Vec::new();
        let mut note =
            |name: &str, what: &dyn fmt::Display| noted.push(format!("--{name}: {what}"));
        file.unwrap().check(&mut note);
        noted
    }

    #[test]
    fn config_notes_an_event_key_that_is_missing_malformed_or_open_to_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let check = || noted(EventKeyFile::new(Some(&path), None, true));
        let is_noted = |what: &str| {
            let found = check();
            let is_it = found.len() == 1 && found[0].contains(what);
            assert!(
                is_it && found[0].starts_with("--event-key-file: "),
                "{found:?}"
            );
        };
        is_noted("roentgen event-key --make");
        write(&path, "hunter2").unwrap();
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        is_noted("Ed25519");
        assert!(!check()[0].contains("hunter2"));
        write(&path, EventKey::encode(&random_key()).unwrap()).unwrap();
        assert_eq!(check(), [""; 0]);
        set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        is_noted("chmod 600");
    }

    #[test]
    fn config_lets_dev_make_the_event_key_of_the_data_directory() {
        let directory = tempfile::tempdir().unwrap();
        let check = |dev| noted(EventKeyFile::new(None, Some(directory.path()), dev));
        assert_eq!(check(true), [""; 0]);
        assert_eq!(check(false).len(), 1);
        let path = directory.path().join(NAME);
        write(&path, "hunter2").unwrap();
        set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
        assert!(check(true)[0].contains("chmod 600"));
    }
}
