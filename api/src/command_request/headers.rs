//! Headers of a command.

use http::{HeaderMap, header};
use roentgen_domain::ids::CorrelationId;
use uuid::Uuid;

use crate::problem::{Problem, ProblemCode};

/// Returns the caller's correlation id, or the one set by the request middleware, which replaces invalid ids.
pub(crate) fn correlation_id(headers: &HeaderMap) -> Result<CorrelationId, Problem> {
    let value = headers
        .get("x-correlation-id")
        .and_then(|header| header.to_str().ok());
    let id = value.and_then(|text| Uuid::parse_str(text).ok());
    let id = id.ok_or_else(|| {
        Problem::new(
            ProblemCode::InvalidHeader,
            "X-Correlation-Id must be a UUID",
        )
    })?;
    Ok(id.into())
}

/// Parses `If-Match: "<version>"`; `*` matches any version.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    match version.and_then(|version| version.parse().ok()) {
        Some(version) => Ok(Some(version)),
        None => Err(Problem::new(
            ProblemCode::InvalidHeader,
            "If-Match must be an ETag returned by this API",
        )),
    }
}
