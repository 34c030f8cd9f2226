//! A nats-server that requires authentication.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use async_nats::ConnectOptions;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificate::Certificate;

/// Configuration of the server, the client's credentials, and the login of the tests.
#[derive(Debug)]
pub struct NatsAuth {
    directory: TempDir,
    entrance: NatsAuthMethod,
}

#[derive(Debug)]
enum NatsAuthMethod {
    Password,
    Credentials(String),
    Composed,
}

/// Seed of an NKey created for these tests.
const SEED: &str = "SUAHXUHMIX3BV5GKOGJHQFOH6ZMEUPIEMLES3ORBWQTZQPZ3OXGHZWIURE";
const PUBLIC: &str = "UBQR3FEJ52UPRLLS4J3ALZNNSA7N4J5RSNIMK53TS5J4EHAXPSHCW6B6";
const CERTIFICATE: &str = "certificate";
const LOGIN: (&str, &str) = ("tests", "xyzzy");
/// The server's user in docker/nats.conf and a password that could be parsed as a number.
pub const SERVER: (&str, &str) = ("roentgen", "123e4");
/// The consumer's user in docker/nats.conf and a password; see [`SERVER`].
pub const CONSUMER: (&str, &str) = ("consumer", "secondpassword");
/// Inbox prefix of the server; it receives replies under no other subject.
const SERVERS_INBOX: &str = "_INBOX.roentgen";

impl NatsAuth {
    /// Configures mutual TLS with one certificate made by openssl, an NKey, and a login for the tests.
    pub fn with_users() -> Result<Self> {
        let guard = Self::new(NatsAuthMethod::Password)?;
        Certificate::make(guard.directory.path(), CERTIFICATE)?;
        let certificate = guard.certificate();
        let key = guard.key();
        let (user, password) = LOGIN;
        guard.configured(&format!(
            "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {certificate:?}, verify: true }}\n\
             authorization {{ users: [ {{ nkey: {PUBLIC} }}, {{ user: {user}, password: {password} }} ] }}\n"
        ))
    }

    /// Configures an operator that signs an account, which signs a user.
    pub fn with_an_operator() -> Result<Self> {
        let operator = KeyPair::new_operator();
        let user = KeyPair::new_user();
        let system = KeyPair::new_account();
        let account = KeyPair::new_account();
        let of_operator = json!({"version": 2, "type": "operator"});
        let of_operator = jwt(&operator, &operator, &of_operator)?;
        let of_system = json!({"version": 2, "type": "account", "limits": limits(0)});
        let of_system = jwt(&operator, &system, &of_system)?;
        let of_account = json!({"version": 2, "type": "account", "limits": limits(-1)});
        let of_account = jwt(&operator, &account, &of_account)?;
        let of_user = json!({"version": 2, "type": "user", "subs": -1, "data": -1, "payload": -1});
        let of_user = jwt(&account, &user, &of_user)?;
        let seed = user.seed()?;
        let credentials = format!(
            "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let guard = Self::new(NatsAuthMethod::Credentials(credentials))?;
        let system = system.public_key();
        let account = account.public_key();
        guard.configured(&format!(
            "operator: {of_operator}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {system}: {of_system}, {account}: {of_account} }}\n"
        ))
    }

    /// Configures the users of docker-compose.yml from docker/nats.conf; ports and store directory are the test's.
    pub fn composed() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/nats.conf");
        let text = std::fs::read_to_string(path)?;
        let replaced = ["port:", "http:", "store_dir:"];
        let kept = text
            .lines()
            .filter(|line| !replaced.iter().any(|name| line.trim().starts_with(name)));
        let kept: Vec<_> = kept.collect();
        Self::new(NatsAuthMethod::Composed)?.configured(&kept.join("\n"))
    }

    /// Returns the environment variables that the configuration reads, quoted as docker-compose.yml quotes them.
    pub(super) fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("NATS_SERVER_PASSWORD", format!("\"{}\"", SERVER.1)),
            ("NATS_CONSUMER_PASSWORD", format!("\"{}\"", CONSUMER.1)),
        ]
    }

    fn new(entrance: NatsAuthMethod) -> Result<Self> {
        Ok(Self {
            directory: tempfile::tempdir()?,
            entrance,
        })
    }

    fn configured(self, config: &str) -> Result<Self> {
        std::fs::write(self.path("nats.conf"), config)?;
        Ok(self)
    }

    /// Returns the path of the self-signed certificate.
    pub fn certificate(&self) -> PathBuf {
        self.path(&format!("{CERTIFICATE}.pem"))
    }

    /// Returns the path of the certificate's private key.
    pub fn key(&self) -> PathBuf {
        self.path(&format!("{CERTIFICATE}-key.pem"))
    }

    /// Writes a file with the client's secret: the seed of the NKey, or the user's credentials without a final newline.
    pub fn secret(&self) -> Result<PathBuf> {
        let path = self.path("secret");
        let secret = match &self.entrance {
            NatsAuthMethod::Password => SEED,
            NatsAuthMethod::Credentials(credentials) => credentials.trim_end(),
            NatsAuthMethod::Composed => SERVER.1,
        };
        std::fs::write(&path, secret)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn arguments(&self) -> [PathBuf; 2] {
        ["--config".into(), self.path("nats.conf")]
    }

    pub(super) fn connect_options(&self) -> Result<ConnectOptions> {
        Ok(match &self.entrance {
            NatsAuthMethod::Password => {
                let (user, password) = LOGIN;
                ConnectOptions::new()
                    .add_root_certificates(self.certificate())
                    .add_client_certificate(self.certificate(), self.key())
                    .require_tls(true)
                    .user_and_password(user.to_owned(), password.to_owned())
            }
            NatsAuthMethod::Credentials(credentials) => {
                ConnectOptions::with_credentials(credentials)?
            }
            NatsAuthMethod::Composed => {
                ConnectOptions::with_user_and_password(SERVER.0.to_owned(), SERVER.1.to_owned())
                    .custom_inbox_prefix(SERVERS_INBOX)
            }
        })
    }
}

/// Returns the limits of an account: none, except for JetStream, which a system account must not have.
fn limits(jetstream: i32) -> Value {
    json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1, "mem_storage": jetstream, "disk_storage": jetstream,
        "streams": jetstream, "consumer": jetstream
    })
}

/// Signs claims about a key with another key, in version 2 of NATS claims.
fn jwt(by: &KeyPair, of: &KeyPair, claims: &Value) -> Result<String> {
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let body = json!({
        "iat": roentgen_store::clock::now_ms() / 1000, "iss": by.public_key(), "sub": of.public_key(),
        "name": "tests", "nats": claims
    });
    let encoded = |value: &Value| BASE64URL.encode(value.to_string());
    let said = format!("{}.{}", encoded(&header), encoded(&body));
    let signature = BASE64URL.encode(by.sign(said.as_bytes())?);
    Ok(format!("{said}.{signature}"))
}
