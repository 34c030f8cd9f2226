//! Parses the database URL once, by the driver's rules, and shows it without its secrets.

use std::net::IpAddr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// Parameters that the driver reads. The driver would log the value of any other parameter.
const PARAMETERS: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

/// Text that is not the URL of a PostgreSQL database. The text is not repeated, because it may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPostgresUrl {
    /// The text cannot be parsed as a URL.
    #[error(
        "must be postgres://USER:PASSWORD@HOST:PORT/DATABASE, with / ? # @ % in user and password percent-encoded"
    )]
    Form,
    /// The driver does not know a parameter.
    #[error(
        "has an unknown parameter; known are sslmode, sslrootcert, sslcert, sslkey, host, hostaddr, port, dbname, user, \
         password, application_name, options and statement-cache-capacity"
    )]
    Parameter,
    /// The driver does not accept a parameter's value.
    #[error("has a parameter whose value is not valid")]
    Value,
}

/// Parses the URL. Without `sslmode=` in the URL, a server on another machine must prove its identity (`verify-full`),
/// and local connections are not encrypted: nobody else can read them, and each byte would be encrypted twice.
///
/// # Errors
///
/// [`InvalidPostgresUrl`] if the URL is not valid; the driver has not seen the text of an invalid form or parameter.
pub(crate) fn parse(text: &str) -> Result<PgConnectOptions, InvalidPostgresUrl> {
    let url = read(text)?;
    let options = text.parse::<PgConnectOptions>();
    let options = options.map_err(|_| InvalidPostgresUrl::Value)?;
    let says_mode = url
        .query_pairs()
        .any(|(name, _)| matches!(&*name, "sslmode" | "ssl-mode"));
    if says_mode {
        return Ok(options);
    }
    let mode = if is_local(&options) {
        PgSslMode::Disable
    } else {
        PgSslMode::VerifyFull
    };
    Ok(options.ssl_mode(mode))
}

/// Returns user, host, port and database of a URL, as the driver understands it.
pub(crate) fn shown(text: &str) -> String {
    let Ok(options) = parse(text) else {
        return "postgres://[unreadable]".to_owned();
    };
    let socket = options.get_socket().map(|path| path.display().to_string());
    let host = socket.unwrap_or_else(|| options.get_host().to_owned());
    let user = options.get_username();
    let port = options.get_port();
    let database = options.get_database().unwrap_or(user);
    format!("postgres://{user}@{host}:{port}/{database}")
}

fn read(text: &str) -> Result<Url, InvalidPostgresUrl> {
    let url = Url::parse(text).map_err(|_| InvalidPostgresUrl::Form)?;
    // An @ after the authority belongs to a password that was not encoded: the parsed host and port are the start of
    // the password.
    let behind = [url.path(), url.query().unwrap_or_default()];
    let is_misread = url.fragment().is_some() || behind.iter().any(|part| part.contains('@'));
    if is_misread || url.cannot_be_a_base() {
        return Err(InvalidPostgresUrl::Form);
    }
    let is_known = |name: &str| {
        PARAMETERS.contains(&name)
            || name == "options"
            || (name.starts_with("options[") && name.ends_with(']'))
    };
    if url.query_pairs().all(|(name, _)| is_known(&name)) {
        Ok(url)
    } else {
        Err(InvalidPostgresUrl::Parameter)
    }
}

/// Checks whether connections stay on this machine.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = address
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    options.get_socket().is_some() || host.starts_with('/') || host == "localhost" || is_loopback
}

#[cfg(test)]
mod tests;
