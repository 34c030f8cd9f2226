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
    pub servers: Servers,
    /// How they are told who this is.
    pub authentication: Authentication,
    /// How the connection is secured.
    pub tls: Tls,
    /// What the stream is to be.
    pub stream: StreamSettings,
}

/// The servers of one NATS system, which are tried in turn. A password in a URL is not shown.
#[derive(Clone)]
pub struct Servers(pub(crate) Vec<ServerAddr>);

/// The text names no NATS servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be nats://HOST:PORT or tls://HOST:PORT, several with commas between")]
pub struct NotServers;

impl Servers {
    /// From URLs with commas between.
    pub fn parse(text: &str) -> Result<Self, NotServers> {
        let servers = text.split(',').map(|it| server(it.trim()));
        Ok(Self(servers.collect::<Result<_, _>>()?))
    }
}

fn server(url: &str) -> Result<ServerAddr, NotServers> {
    if url.is_empty() {
        return Err(NotServers);
    }
    let address: ServerAddr = url.parse().map_err(|_| NotServers)?;
    match address.scheme() {
        "nats" | "tls" => Ok(address),
        _ => Err(NotServers),
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, server) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let (scheme, host, port) = (server.scheme(), server.host(), server.port());
            write!(f, "{comma}{scheme}://{host}:{port}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How the servers are told who this is.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// Not, or by what the URL says.
    ByUrl,
    /// The text of a credentials file: a user's JWT and its NKey seed.
    Credentials(SecretString),
    /// An NKey's seed.
    NKey(SecretString),
}

impl Authentication {
    /// Whether the secret has the form that it should have.
    pub fn is_well_formed(&self) -> bool {
        match self {
            Self::ByUrl => true,
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
        let servers = Servers::parse("nats://app:hunter2@a:4222,tls://token@b:4333").unwrap();
        assert_eq!(servers.to_string(), "nats://a:4222,tls://b:4333");
        assert_eq!(format!("{servers:?}"), "nats://a:4222,tls://b:4333");
    }

    #[test]
    fn only_nats_servers_are_named() {
        assert!(Servers::parse("nats://127.0.0.1").is_ok());
        for bad in ["", "nats://a,", "http://a:4222", "nats://a:b"] {
            assert!(Servers::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_seed_is_a_users() {
        let seed = |text: &str| Authentication::NKey(text.to_owned().into()).is_well_formed();
        assert!(seed(
            "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY"
        ));
        assert!(!seed(
            "UCNGL4W5QX66CFX6A6DCBVDH5VOHMI7B2UZZU7TXAUQQSI2JPHULCKBR"
        ));
    }
}
