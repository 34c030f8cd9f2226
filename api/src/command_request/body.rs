//! Command body: media type, members, and problems of malformed members.

use axum::body::{Body, HttpBody as _};
use http::request::Parts;
use http::{Method, header};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{CommandRequest, aside};
use crate::nearest;
use crate::problem::{FieldError, Problem, ProblemCode};
use crate::validation::{self, JsonObject};

/// Accepted media types; `application/merge-patch+json` only for PATCH.
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Rejects a body that is not declared as JSON, before reading it. A web page can make a browser send any other type
/// cross-origin without a CORS preflight. An empty body needs no media type.
pub(super) fn check_media_type(parts: &Parts, body: &Body) -> Result<(), Problem> {
    if body.is_end_stream() || body.size_hint().exact() == Some(0) {
        return Ok(());
    }
    let mut kinds = parts.headers.get_all(header::CONTENT_TYPE).iter();
    let kind = kinds.next();
    let second = kinds.next();
    let kind = kind.filter(|_| second.is_none());
    let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    let kind = kind.unwrap_or_default().trim();
    let is_patch = parts.method == Method::PATCH && kind.eq_ignore_ascii_case(MERGE_PATCH);
    if !is_patch && !kind.eq_ignore_ascii_case(JSON) {
        let mut detail = "send Content-Type: application/json".to_owned();
        if parts.method == Method::PATCH {
            detail.push_str(" or application/merge-patch+json");
        }
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
    }
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        let detail = "send the body as it is, without Content-Encoding";
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
    }
    Ok(())
}

/// Body of a command, which may name the tenant.
pub(crate) trait TenantScopedBody: DeserializeOwned {
    /// Returns `tenant_id`, if sent.
    fn tenant_id(&self) -> Option<Uuid>;
}

impl CommandRequest {
    /// Parses the body and checks `tenant_id`.
    pub(crate) fn body<B: TenantScopedBody>(&self) -> Result<B, Problem> {
        let body: B = parse_json(&self.body)?;
        self.caller.require_tenant(body.tenant_id())?;
        Ok(body)
    }

    /// Parses the body and converts it with `parse`, on a blocking thread if it is long.
    pub(crate) async fn body_as<B: TenantScopedBody, T: Send + 'static>(
        &self,
        parse: impl FnOnce(B) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let bytes = self.body.clone();
        let caller = self.caller.clone();
        let read = move || {
            let body: B = parse_json(&bytes)?;
            caller.require_tenant(body.tenant_id())?;
            parse(body)
        };
        aside(self.body.len(), read).await?
    }

    /// Parses the body; an empty body or `null` yields the default.
    pub(crate) fn body_or_default<B: TenantScopedBody + Default>(&self) -> Result<B, Problem> {
        if is_absent(&self.body) {
            return Ok(B::default());
        }
        self.body()
    }
}

/// Returns whether an optional body is absent: empty, or `null`.
pub(super) fn is_absent(body: &[u8]) -> bool {
    body.is_empty() || body.trim_ascii() == b"null"
}

/// Parses a body. An error names the location and never repeats content.
pub(super) fn parse_json<B: DeserializeOwned>(body: &[u8]) -> Result<B, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize::<_, JsonObject<B>>(&mut json);
    let JsonObject(members) = read.map_err(|error| schema_error(error.path(), error.inner()))?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(members)
}

/// Returns the problem for malformed JSON or a schema mismatch. Content is not repeated: it could be PHI.
fn schema_error(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return malformed(error);
    }
    let said = error.to_string();
    let mut pointer = pointer(path);
    if let Some(most) = validation::most_elements(&said) {
        let detail = validation::too_many(most);
        return Problem::unacceptable(vec![FieldError { pointer, detail }]);
    }
    let detail = if let Some(hint) = unknown_member(&said) {
        // The path ends at the client's field name, which is not repeated.
        pointer.truncate(pointer.rfind('/').unwrap_or(0));
        hint
    } else if let Some(name) = said.strip_prefix("duplicate field `") {
        // The path ends at the object; the name is a field of this API, not the client's text.
        pointer = format!("{pointer}/{}", name.split('`').next().unwrap_or_default());
        "duplicate field".to_owned()
    } else {
        "wrong JSON type".to_owned()
    };
    let place = format!("line {}, column {}", error.line(), error.column());
    Problem::new(ProblemCode::InvalidBody, format!("{detail} at {place}"))
        .with_error(pointer, detail)
}

/// Returns a hint if the error is an unknown field. serde ends its message with the known names in backticks, after the
/// client's own name.
fn unknown_member(said: &str) -> Option<String> {
    let rest = said.strip_prefix("unknown field `")?;
    let (sent, known) = match rest.rsplit_once("`, expected ") {
        Some((sent, known)) => (sent, known),
        None => (rest.split('`').next().unwrap_or_default(), ""),
    };
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    Some(format!("unknown field; {}", nearest::hint(sent, &known)))
}

fn malformed(error: &serde_json::Error) -> Problem {
    let place = format!("line {}, column {}", error.line(), error.column());
    let said = error.to_string();
    if said.contains("surrogate") || said.contains("end of hex escape") {
        let detail = format!("string contains a lone surrogate at {place}");
        return Problem::new(ProblemCode::Unacceptable, detail);
    }
    Problem::new(
        ProblemCode::MalformedJson,
        format!("invalid JSON at {place}"),
    )
}

/// Formats a path as JSON Pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |text, segment| {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => "?".to_owned(),
        };
        format!("{text}/{step}")
    })
}
