//! Settings of the relay: NATS servers, authentication, TLS and the stream.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use secrecy::{ExposeSecret as _, SecretString};

/// Settings of the relay.
#[derive(Debug, Clone)]
pub struct Settings {
    /// NATS servers.
    pub servers: NatsServers,
    /// Authentication.
    pub authentication: Authentication,
    /// TLS settings.
    pub tls: Tls,
    /// Settings of the stream.
    pub stream: StreamSettings,
}

/// Servers of one NATS system, which are tried in turn. The login is stored separately, because the client logs
/// addresses.
#[derive(Clone)]
pub struct NatsServers {
    pub(crate) addresses: Vec<ServerAddr>,
    /// First login in the URLs; it applies to all servers of the system.
    pub(crate) login: Option<Login>,
}

/// Error for a text that is not a list of NATS servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a comma-separated list of nats://HOST:PORT or tls://HOST:PORT")]
pub struct InvalidNatsServers;

impl NatsServers {
    /// Parses a comma-separated list of `nats://HOST:PORT` or `tls://HOST:PORT`.
    ///
    /// # Errors
    ///
    /// [`InvalidNatsServers`] if the text is not such a list.
    pub fn parse(text: &str) -> Result<Self, InvalidNatsServers> {
        let mut addresses = Vec::new();
        let mut login = None;
        for url in text.split(',') {
            let address = server(url.trim())?;
            login = login.or_else(|| login_of(&address));
            addresses.push(without_login(address)?);
        }
        Ok(Self { addresses, login })
    }
}

fn server(url: &str) -> Result<ServerAddr, InvalidNatsServers> {
    if url.is_empty() {
        return Err(InvalidNatsServers);
    }
    let address: ServerAddr = url.parse().map_err(|_| InvalidNatsServers)?;
    match address.scheme() {
        "nats" | "tls" => Ok(address),
        _ => Err(InvalidNatsServers),
    }
}

/// Login in a URL.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Password { user: String, password: String },
    Token(String),
}

fn login_of(server: &ServerAddr) -> Option<Login> {
    let user = decoded(server.username()?);
    Some(match server.password() {
        Some(password) => Login::Password {
            user,
            password: decoded(password),
        },
        None => Login::Token(user),
    })
}

/// Returns the address with scheme, host and port only. NATS does not use other parts of a URL; if there are any, they
/// may come from a password that was not percent-encoded, and the address is rejected.
fn without_login(address: ServerAddr) -> Result<ServerAddr, InvalidNatsServers> {
    let mut url = address.into_inner();
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none();
    if !is_bare || url.fragment().is_some() || url.host_str().is_none_or(str::is_empty) {
        return Err(InvalidNatsServers);
    }
    url.set_username("").map_err(|()| InvalidNatsServers)?;
    url.set_password(None).map_err(|()| InvalidNatsServers)?;
    ServerAddr::from_url(url).map_err(|_| InvalidNatsServers)
}

/// Decodes percent-encoding (RFC 3986, section 2.1).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        match after.split_at_checked(2) {
            Some((hex, after)) if let Ok(byte) = u8::from_str_radix(hex, 16) => {
                bytes.push(byte);
                rest = after;
            }
            Some(_) | None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

impl fmt::Display for NatsServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, server) in self.addresses.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let scheme = server.scheme();
            let host = server.host();
            let port = server.port();
            write!(f, "{comma}{scheme}://{host}:{port}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for NatsServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Authentication to the servers.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// Login in the URL, or none.
    FromUrl,
    /// Text of a credentials file: a user's JWT and NKey seed.
    Credentials(SecretString),
    /// NKey seed.
    NKey(SecretString),
}

impl Authentication {
    /// Checks whether the secret has a valid format.
    pub fn is_well_formed(&self) -> bool {
        match self {
            Self::FromUrl => true,
            Self::Credentials(text) => {
                ConnectOptions::with_credentials(text.expose_secret()).is_ok()
            }
            Self::NKey(seed) => seed.expose_secret().starts_with("SU"),
        }
    }
}

/// TLS settings. TLS is also used if the server requires it or the URL has the scheme `tls://`.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Path of certificates (PEM) to trust in addition to those of the system. If present, TLS is required.
    pub root_certificates: Option<PathBuf>,
    /// Paths of the client certificate and its key (PEM).
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

/// Settings of the stream. An absent setting has the server's default in a new stream, and is unchanged in an existing
/// one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamSettings {
    /// Number of replicas in a cluster.
    pub replicas: Option<usize>,
    /// Maximum age of a message.
    pub max_age: Option<Duration>,
    /// Maximum size of the stream in bytes, beyond which the oldest messages are removed.
    pub max_bytes: Option<i64>,
    /// Time window in which the server detects duplicate message ids.
    pub duplicate_window: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let servers = NatsServers::parse("nats://app:hunter2@a:4222,tls://token@b:4333").unwrap();
        assert_eq!(servers.to_string(), "nats://a:4222,tls://b:4333");
        assert_eq!(format!("{servers:?}"), "nats://a:4222,tls://b:4333");
        // The client logs the addresses in this format.
        let addresses = format!("{:?}", servers.addresses);
        assert!(!addresses.contains("hunter2") && !addresses.contains("token"));
    }

    #[test]
    fn a_url_says_who_this_is() {
        let login = |text: &str| NatsServers::parse(text).unwrap().login;
        let password = login("nats://a:4222,nats://app:h%40nter%2B2@b:4222");
        let user = "app".to_owned();
        let hunter = "h@nter+2".to_owned();
        assert!(
            password
                == Some(Login::Password {
                    user,
                    password: hunter
                })
        );
        assert!(login("nats://t0ken@a:4222") == Some(Login::Token("t0ken".to_owned())));
        assert!(login("nats://a:4222").is_none());
        assert_eq!(decoded("100%25 %zz %4"), "100% %zz %4");
    }

    #[test]
    fn only_nats_servers_are_named() {
        assert!(NatsServers::parse("nats://127.0.0.1").is_ok());
        for bad in [
            "",
            "nats://a,",
            "http://a:4222",
            "nats://a:b",
            "nats://u:1?b@h:4222",
            "nats://u:1#b@h:4222",
            "nats://u:1/b@h:4222",
        ] {
            assert!(NatsServers::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_seed_is_a_users() {
        let seed = |text: &str| Authentication::NKey(text.to_owned().into()).is_well_formed();
        assert!(seed(
            "SUAHXUHMIX3BV5GKOGJHQFOH6ZMEUPIEMLES3ORBWQTZQPZ3OXGHZWIURE"
        ));
        assert!(!seed(
            "UBQR3FEJ52UPRLLS4J3ALZNNSA7N4J5RSNIMK53TS5J4EHAXPSHCW6B6"
        ));
    }
}
