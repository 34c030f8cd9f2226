//! Where NATS is, how it is entered, and what the stream is to be.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use secrecy::{ExposeSecret as _, SecretString};

/// Everything that the relay is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which servers.
    pub servers: NatsServers,
    /// How they are told who this is.
    pub authentication: Authentication,
    /// How the connection is secured.
    pub tls: Tls,
    /// What the stream is to be.
    pub stream: StreamSettings,
}

/// The servers of one NATS system, which are tried in turn. The client logs their addresses, so that a login is kept
/// apart from them.
#[derive(Clone)]
pub struct NatsServers {
    pub(crate) addresses: Vec<ServerAddr>,
    /// The first login that one of the URLs has: the servers are one system.
    pub(crate) login: Option<Login>,
}

/// The text names no NATS servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a comma-separated list of nats://HOST:PORT or tls://HOST:PORT")]
pub struct InvalidNatsServers;

impl NatsServers {
    /// Parses a comma-separated list of `nats://HOST:PORT` or `tls://HOST:PORT`.
    ///
    /// # Errors
    ///
    /// [`InvalidNatsServers`] if it is not one.
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

/// Who a URL says that this is.
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

/// Scheme, host and port: anything behind them has no meaning to NATS, and is a password that was not encoded.
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

/// Text in which `%XX` stands for a byte (RFC 3986, section 2.1).
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

/// How the servers are told who this is.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// Not, or by what the URL says.
    FromUrl,
    /// The text of a credentials file: a user's JWT and its NKey seed.
    Credentials(SecretString),
    /// An NKey's seed.
    NKey(SecretString),
}

impl Authentication {
    /// Whether the secret has the form that it should have.
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

/// How the connection is secured. Servers that ask for TLS, and `tls://`, get it anyway.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Certificates (PEM) to trust beside the system's; with them, TLS is required.
    pub root_certificates: Option<PathBuf>,
    /// This client's certificate and its key (PEM).
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

/// What the stream is to be. What is not said is the server's default when the stream is created, and left as it is in
/// one that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamSettings {
    /// How many servers of a cluster keep it.
    pub replicas: Option<usize>,
    /// How long a message stays.
    pub max_age: Option<Duration>,
    /// How many bytes it holds before the oldest messages go.
    pub max_bytes: Option<i64>,
    /// For how long the server knows a message id again.
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
        // As the client logs them.
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
