//! Where a model answers, and on what terms. The secret behind it lies elsewhere: only its id is known here.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::SecretId;
use crate::named;

/// Where a model answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointConfig {
    /// Its address.
    pub url: EndpointUrl,
    /// How to be let in; not at all, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<EndpointAuth>,
    /// How long to wait for an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<TimeoutMs>,
    /// How often to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<MaxAttempts>,
}

/// How to be let in. The secret lies sealed, outside of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointAuth {
    /// Of what kind the secret is.
    pub kind: AuthKind,
    /// Where it lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<SecretId>,
}

/// Of what kind a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    /// No secret.
    None,
    /// User and password (RFC 7617).
    Basic,
    /// A bearer token (RFC 6750).
    Bearer,
    /// A header of the vendor's own.
    Header,
}

named! {
    AuthKind: None = "none", Basic = "basic", Bearer = "bearer", Header = "header";
}

/// An address of HTTP or HTTPS, at most 2048 bytes, without user or password: those are secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndpointUrl(String);

/// The text is no such address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an http or https URL of at most 2048 visible ASCII characters, without user and password"
)]
pub struct NotAnEndpointUrl;

impl EndpointUrl {
    /// Refuses other schemes, blanks, and an authority with a user in it.
    pub fn parse(text: &str) -> Result<Self, NotAnEndpointUrl> {
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let authority = rest.and_then(|it| it.split(['/', '?', '#']).next());
        let visible = text.bytes().all(|it| it.is_ascii_graphic());
        match authority {
            Some(host)
                if !host.is_empty() && !host.contains('@') && visible && text.len() <= 2048 =>
            {
                Ok(Self(text.to_owned()))
            }
            Some(_) | None => Err(NotAnEndpointUrl),
        }
    }

    /// The address itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A wait of 1 ms to an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeoutMs(u32);

/// The number is no such wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 3600000 milliseconds")]
pub struct OutOfTime;

impl TimeoutMs {
    /// Refuses zero, negative numbers and more than an hour.
    pub fn parse(millis: i64) -> Result<Self, OutOfTime> {
        match u32::try_from(millis) {
            Ok(millis @ 1..=3_600_000) => Ok(Self(millis)),
            Ok(_) | Err(_) => Err(OutOfTime),
        }
    }
}

/// How often to ask: 1 to 100 times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MaxAttempts(u8);

/// The number is none of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 100")]
pub struct OutOfAttempts;

impl MaxAttempts {
    /// Refuses what is not 1 to 100.
    pub fn parse(attempts: i64) -> Result<Self, OutOfAttempts> {
        match u8::try_from(attempts) {
            Ok(attempts @ 1..=100) => Ok(Self(attempts)),
            Ok(_) | Err(_) => Err(OutOfAttempts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_and_holds_no_secret() {
        for good in [
            "http://10.0.0.7:8500/v1/infer",
            "https://ai.example.org",
            "https://ai.example.org/a@b",
        ] {
            assert_eq!(EndpointUrl::parse(good).unwrap().as_str(), good);
        }
        let long = format!("https://ai.example.org/{}", "a".repeat(2048));
        for bad in [
            "",
            "ai.example.org",
            "ftp://ai.example.org",
            "https://",
            "https:///path",
            "https://user:password@ai.example.org/",
            "https://ai.example.org/a b",
            "https://ai.example.org/\0",
            &long,
        ] {
            assert_eq!(EndpointUrl::parse(bad), Err(NotAnEndpointUrl), "{bad}");
        }
    }

    #[test]
    fn limits_are_held() {
        for bad in [i64::MIN, -1, 0, 3_600_001, i64::MAX] {
            assert_eq!(TimeoutMs::parse(bad), Err(OutOfTime), "{bad}");
        }
        for bad in [i64::MIN, -1, 0, 101, 256, i64::MAX] {
            assert_eq!(MaxAttempts::parse(bad), Err(OutOfAttempts), "{bad}");
        }
        assert!(TimeoutMs::parse(3_600_000).is_ok() && MaxAttempts::parse(100).is_ok());
    }
}
