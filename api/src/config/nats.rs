//! NATS relay settings: servers, authentication, TLS, stream.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use roentgen_relay::{Authentication, NatsServers, Settings, StreamSettings, Tls};
use secrecy::SecretString;

use super::secret_file::{self, SecretFileError};
use crate::cli::parse_duration;

/// Maximum number of JetStream replicas.
const MAX_REPLICAS: usize = 5;
/// Minimum of every duration.
const MIN_DURATION: Duration = Duration::from_secs(1);

/// NATS flags.
#[derive(Args, Clone)]
pub struct NatsOptions {
    /// NATS servers to publish events to: comma-separated nats://HOST:PORT or tls://HOST:PORT.
    #[arg(long, env = "ROENTGEN_NATS", global = true, hide_env_values = true)]
    pub nats: Option<String>,
    /// NATS credentials file (user JWT and seed).
    #[arg(long, env = "ROENTGEN_NATS_CREDENTIALS", global = true)]
    pub nats_credentials: Option<PathBuf>,
    /// File with an NKey seed.
    #[arg(long, env = "ROENTGEN_NATS_NKEY", global = true)]
    pub nats_nkey: Option<PathBuf>,
    /// Additional CA certificates (PEM); makes TLS mandatory.
    #[arg(long, env = "ROENTGEN_NATS_CA", global = true)]
    pub nats_ca: Option<PathBuf>,
    /// Client certificate (PEM).
    #[arg(long, env = "ROENTGEN_NATS_CERTIFICATE", global = true)]
    pub nats_certificate: Option<PathBuf>,
    /// Private key of the client certificate (PEM).
    #[arg(long, env = "ROENTGEN_NATS_KEY", global = true)]
    pub nats_key: Option<PathBuf>,
    /// Stream replicas, 1 to 5.
    #[arg(long, env = "ROENTGEN_NATS_REPLICAS", global = true)]
    pub nats_replicas: Option<usize>,
    /// Maximum message age, for example 90s, 15m, 8h or 7d.
    #[arg(long, env = "ROENTGEN_NATS_MAX_AGE", global = true)]
    pub nats_max_age: Option<String>,
    /// Maximum stream size in bytes; oldest messages are discarded first.
    #[arg(long, env = "ROENTGEN_NATS_MAX_BYTES", global = true)]
    pub nats_max_bytes: Option<i64>,
    /// Deduplication window; server default 2 minutes.
    #[arg(long, env = "ROENTGEN_NATS_DUPLICATE_WINDOW", global = true)]
    pub nats_duplicate_window: Option<String>,
    /// Ed25519 key that signs published events (PKCS#8 PEM); default event-key.pem in the data directory.
    #[arg(long, env = "ROENTGEN_EVENT_KEY_FILE", global = true)]
    pub event_key_file: Option<PathBuf>,
}

/// Prints no values: a server URL may contain a password.
impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NatsOptions")
    }
}

type ErrorSink<'a> = &'a mut dyn FnMut(&str, &dyn fmt::Display);

impl NatsOptions {
    /// Validates all flags and reports each error; returns the relay settings if `--nats` is given.
    pub(super) fn resolve(&self, note: ErrorSink<'_>) -> Option<Settings> {
        let authentication = self.authentication(note);
        let tls = self.tls(note);
        let stream = self.stream(note);
        let Some(servers) = &self.nats else {
            self.report_unused_flags(note);
            return None;
        };
        let servers = NatsServers::parse(servers)
            .map_err(|error| note("nats", &error))
            .ok();
        Some(Settings {
            servers: servers?,
            authentication: authentication?,
            tls: tls?,
            stream: stream?,
        })
    }

    /// Reports flags that have no effect without `--nats`.
    fn report_unused_flags(&self, note: ErrorSink<'_>) {
        let given = [
            ("nats-credentials", self.nats_credentials.is_some()),
            ("nats-nkey", self.nats_nkey.is_some()),
            ("nats-ca", self.nats_ca.is_some()),
            ("nats-certificate", self.nats_certificate.is_some()),
            ("nats-key", self.nats_key.is_some()),
            ("nats-replicas", self.nats_replicas.is_some()),
            ("nats-max-age", self.nats_max_age.is_some()),
            ("nats-max-bytes", self.nats_max_bytes.is_some()),
            (
                "nats-duplicate-window",
                self.nats_duplicate_window.is_some(),
            ),
        ];
        for (name, _) in given.iter().filter(|(_, is_given)| *is_given) {
            note(name, &"requires --nats");
        }
    }

    fn authentication(&self, note: ErrorSink<'_>) -> Option<Authentication> {
        let (name, found) = match (&self.nats_credentials, &self.nats_nkey) {
            (None, None) => return Some(Authentication::FromUrl),
            (Some(_), Some(_)) => {
                note("nats-nkey", &"cannot be combined with --nats-credentials");
                return None;
            }
            (Some(path), None) => (
                "nats-credentials",
                credentials(path).map(Authentication::Credentials),
            ),
            (None, Some(path)) => ("nats-nkey", secret(path).map(Authentication::NKey)),
        };
        match found {
            Ok(authentication) if authentication.is_well_formed() => Some(authentication),
            Ok(_) => {
                note(name, &"file is not in the expected format");
                None
            }
            Err(error) => {
                note(name, &error);
                None
            }
        }
    }

    fn tls(&self, note: ErrorSink<'_>) -> Option<Tls> {
        let client_certificate = match (&self.nats_certificate, &self.nats_key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            (Some(_), None) => {
                note("nats-certificate", &"needs --nats-key");
                return None;
            }
            (None, Some(_)) => {
                note("nats-key", &"needs --nats-certificate");
                return None;
            }
        };
        let files = [
            ("nats-ca", &self.nats_ca),
            ("nats-certificate", &self.nats_certificate),
        ];
        let mut all_there = true;
        if let Some(Err(refused)) = self.nats_key.as_deref().map(secret_file::check_path) {
            note("nats-key", &refused);
            all_there = false;
        }
        for (name, path) in files {
            if let Some(Err(error)) = path.as_ref().map(std::fs::read) {
                note(name, &error);
                all_there = false;
            }
        }
        all_there.then(|| Tls {
            root_certificates: self.nats_ca.clone(),
            client_certificate,
        })
    }

    fn stream(&self, note: ErrorSink<'_>) -> Option<StreamSettings> {
        let max_age = duration("nats-max-age", self.nats_max_age.as_deref(), note);
        let window = self.nats_duplicate_window.as_deref();
        let duplicate_window = duration("nats-duplicate-window", window, note);
        if self
            .nats_replicas
            .is_some_and(|nats_replicas| !(1..=MAX_REPLICAS).contains(&nats_replicas))
        {
            note("nats-replicas", &"must be 1 to 5");
            return None;
        }
        if self
            .nats_max_bytes
            .is_some_and(|nats_max_bytes| nats_max_bytes < 1)
        {
            note("nats-max-bytes", &"must be at least 1");
            return None;
        }
        Some(StreamSettings {
            replicas: self.nats_replicas,
            max_age: max_age?,
            max_bytes: self.nats_max_bytes,
            duplicate_window: duplicate_window?,
        })
    }
}

/// Parses a duration: `Some(None)` if not given, `None` if invalid.
fn duration(name: &str, text: Option<&str>, note: ErrorSink<'_>) -> Option<Option<Duration>> {
    let Some(text) = text else {
        return Some(None);
    };
    match parse_duration(text) {
        Ok(duration) if duration >= MIN_DURATION => Some(Some(duration)),
        Ok(_) => {
            note(name, &"must be at least 1s");
            None
        }
        Err(error) => {
            note(name, &error);
            None
        }
    }
}

fn secret(path: &Path) -> Result<SecretString, SecretFileError> {
    Ok(secret_file::read(path)?.trim().to_owned().into())
}

/// Reads a credentials file. The parser requires a newline after every line, including the last.
fn credentials(path: &Path) -> Result<SecretString, SecretFileError> {
    Ok((secret_file::read(path)? + "\n").into())
}

/// Writes the lines of `roentgen config`.
pub(super) fn write_config(f: &mut fmt::Formatter<'_>, settings: Option<&Settings>) -> fmt::Result {
    let Some(settings) = settings else {
        return writeln!(f, "nats          (none)");
    };
    let entered = match settings.authentication {
        Authentication::FromUrl => "[from URL]",
        Authentication::Credentials(_) => "[credentials]",
        Authentication::NKey(_) => "[nkey]",
    };
    let StreamSettings {
        replicas,
        max_age,
        max_bytes,
        duplicate_window,
    } = settings.stream;
    writeln!(f, "nats          {} {entered}", settings.servers)?;
    let said = [
        ("replicas", replicas.map(|replicas| replicas.to_string())),
        ("max-age", max_age.map(|max_age| format!("{max_age:?}"))),
        (
            "max-bytes",
            max_bytes.map(|max_bytes| max_bytes.to_string()),
        ),
        (
            "duplicate-window",
            duplicate_window.map(|duplicate_window| format!("{duplicate_window:?}")),
        ),
    ];
    for (name, value) in said {
        let value = value.unwrap_or_else(|| "(server default)".to_owned());
        writeln!(f, "nats-{name} {value}")?;
    }
    Ok(())
}
