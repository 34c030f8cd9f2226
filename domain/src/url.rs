//! HTTP URLs of catalog entries and studies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Absolute `http` or `https` URL (RFC 3986) of at most 2048 characters, without user information: a password would be
/// shown wherever the URL is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HttpUrl(String);

/// Reasons why a text is not a valid URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Wrong scheme, no host, a space, or too long.
    #[error("must be an http or https URL of at most 2048 characters")]
    Malformed,
    /// User or password before the host.
    #[error("must not contain user information")]
    Credentials,
    /// Parameter with a token.
    #[error("must not contain a token")]
    Token,
}

const MAX_LENGTH: usize = 2048;

impl HttpUrl {
    /// Parses an HTTP or HTTPS URL.
    ///
    /// # Errors
    ///
    /// [`UrlError`] for other schemes, user information, and characters that are not allowed in URLs.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let rest = without_scheme(text).ok_or(UrlError::Malformed)?;
        let legal = |b: u8| b.is_ascii_graphic() && !b"\"<>\\^`|".contains(&b);
        if text.len() > MAX_LENGTH || !text.bytes().all(legal) {
            return Err(UrlError::Malformed);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        if authority.is_empty() || authority.starts_with(':') {
            return Err(UrlError::Malformed);
        }
        Ok(Self(text.to_owned()))
    }

    /// Parses a URL as [`Self::parse`] does and rejects tokens: a stored link is shown to every user with read access.
    ///
    /// # Errors
    ///
    /// [`UrlError`] as [`Self::parse`], and if the URL contains a token.
    pub fn parse_without_token(text: &str) -> Result<Self, UrlError> {
        let url = Self::parse(text)?;
        if url.carries_token() {
            return Err(UrlError::Token);
        }
        Ok(url)
    }

    /// Returns whether the URL has a query or fragment parameter with "token" in its name, or a JSON Web Token anywhere
    /// (RFC 7519: the first part is the base64 of an object, `eyJ`).
    fn carries_token(&self) -> bool {
        let named = self.0.split(['?', '#', '&', ';']).skip(1).any(|text| {
            let name = text.split('=').next().unwrap_or_default();
            name.to_ascii_lowercase().contains("token")
        });
        let parts = self.0.split(['/', '?', '#', '&', ';', '=']);
        named || parts.into_iter().any(is_web_token)
    }

    /// Returns the URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn without_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    known.then_some(rest)
}

fn is_web_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_web_addresses_only() {
        for good in [
            "http://pacs",
            "http://10.0.0.7:8500/v1/infer",
            "HTTPS://pacs.example:8443/dicom-web?a={b}#c",
        ] {
            assert_eq!(HttpUrl::parse(good).unwrap().as_str(), good);
        }
        let long = format!("https://pacs/{}", "x".repeat(2048));
        for bad in [
            "",
            "pacs",
            "ftp://pacs",
            "https://",
            "https:///x",
            "https://a b",
            "https://ä",
            "https://pacs/\0",
            "javascript:x://y",
            &long,
        ] {
            assert_eq!(HttpUrl::parse(bad), Err(UrlError::Malformed), "{bad}");
        }
    }

    #[test]
    fn refuses_a_password_in_it() {
        for bad in ["https://user:hunter2@pacs/", "https://user@pacs"] {
            assert_eq!(HttpUrl::parse(bad), Err(UrlError::Credentials), "{bad}");
        }
        assert!(HttpUrl::parse("https://pacs/a@b").is_ok());
    }

    #[test]
    fn a_link_that_is_kept_carries_no_token() {
        for bad in [
            "https://viewer/?token=x",
            "https://viewer/?a=b&access_token=x",
            "https://viewer/#id_Token=x",
            "https://viewer/eyJhbGci.eyJzdWIi.c2ln/",
        ] {
            assert_eq!(
                HttpUrl::parse_without_token(bad),
                Err(UrlError::Token),
                "{bad}"
            );
        }
        assert!(HttpUrl::parse_without_token("https://viewer/tokens?study=1.2").is_ok());
    }
}
