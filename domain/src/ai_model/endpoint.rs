//! Inference endpoint of an AI model. The secret is stored elsewhere; the endpoint contains only its id.

use serde::{Deserialize, Serialize, Serializer};

use super::Invalid;
use crate::auth_kind::AuthKind;
use crate::change::Change;
use crate::ids::SecretId;
use crate::url::HttpUrl;

/// Inference endpoint of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointConfig {
    /// URL of the endpoint.
    pub url: HttpUrl,
    /// Authentication; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<EndpointAuth>,
    /// Response timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<TimeoutMs>,
    /// Maximum number of attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<MaxAttempts>,
}

/// Authentication of an endpoint. The secret is stored sealed, outside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointAuth {
    /// Authentication scheme.
    pub kind: AuthKind,
    /// Id of the stored secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<SecretId>,
}

/// A merge patch (RFC 7396) of an [`EndpointConfig`]. Authentication contains a secret, so it is replaced as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointPatch {
    /// New URL.
    pub url: Option<HttpUrl>,
    /// New authentication, or none.
    pub auth: Change<EndpointAuth>,
    /// New response timeout.
    pub timeout_ms: Change<TimeoutMs>,
    /// New maximum number of attempts.
    pub max_attempts: Change<MaxAttempts>,
}

impl EndpointPatch {
    /// Merges the patch into the model's endpoint, if any.
    ///
    /// # Errors
    /// [`Invalid::UrlMissing`] if neither the patch nor the endpoint has a URL.
    pub fn laid_over(self, before: Option<&EndpointConfig>) -> Result<EndpointConfig, Invalid> {
        let url = self.url.or_else(|| before.map(|known| known.url.clone()));
        Ok(EndpointConfig {
            url: url.ok_or(Invalid::UrlMissing)?,
            auth: self.auth.apply(before.and_then(|known| known.auth)),
            timeout_ms: self
                .timeout_ms
                .apply(before.and_then(|known| known.timeout_ms)),
            max_attempts: self
                .max_attempts
                .apply(before.and_then(|known| known.max_attempts)),
        })
    }
}

/// Serialises the endpoint as the resource shows it: with the authentication scheme, without the secret id.
pub(super) fn without_secret<S: Serializer>(
    config: &Option<EndpointConfig>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut shown = config.clone();
    if let Some(auth) = shown.as_mut().and_then(|config| config.auth.as_mut()) {
        auth.secret_id = None;
    }
    shown.serialize(serializer)
}

/// A timeout: 1 ms to 1 h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeoutMs(u32);

/// The number is not a valid timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 3600000 milliseconds")]
pub struct InvalidTimeoutMs;

impl TimeoutMs {
    /// Parses a timeout in milliseconds, 1 to 3,600,000.
    ///
    /// # Errors
    ///
    /// [`InvalidTimeoutMs`] for any other number.
    pub fn parse(millis: i64) -> Result<Self, InvalidTimeoutMs> {
        match u32::try_from(millis) {
            Ok(millis @ 1..=3_600_000) => Ok(Self(millis)),
            Ok(_) | Err(_) => Err(InvalidTimeoutMs),
        }
    }
}

/// A number of attempts: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MaxAttempts(u8);

/// The number is not a valid number of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 100")]
pub struct InvalidMaxAttempts;

impl MaxAttempts {
    /// Parses a number of attempts, 1 to 100.
    ///
    /// # Errors
    ///
    /// [`InvalidMaxAttempts`] for any other number.
    pub fn parse(attempts: i64) -> Result<Self, InvalidMaxAttempts> {
        match u8::try_from(attempts) {
            Ok(attempts @ 1..=100) => Ok(Self(attempts)),
            Ok(_) | Err(_) => Err(InvalidMaxAttempts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_held() {
        for bad in [i64::MIN, -1, 0, 3_600_001, i64::MAX] {
            assert_eq!(TimeoutMs::parse(bad), Err(InvalidTimeoutMs), "{bad}");
        }
        for bad in [i64::MIN, -1, 0, 101, 256, i64::MAX] {
            assert_eq!(MaxAttempts::parse(bad), Err(InvalidMaxAttempts), "{bad}");
        }
        assert!(TimeoutMs::parse(3_600_000).is_ok() && MaxAttempts::parse(100).is_ok());
    }
}
