//! A command's body: what it is said to be, its members as they are read, and what is said of those that are not as
//! they should be.

use axum::body::{Body, HttpBody as _};
use http::request::Parts;
use http::{Method, header};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{CommandRequest, aside};
use crate::nearest;
use crate::problem::{FieldError, Problem, ProblemCode};
use crate::validation::{self, JsonObject};

/// What a body may be said to be, and what PATCH takes besides.
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Refuses a body that is not said to be JSON, before any of it is read. A web page can have a browser send any other
/// kind to any server without asking that server first. Where there is no body nothing need be said of it.
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

/// A body that every command's body is: it may name the tenant.
pub(crate) trait TenantScopedBody: DeserializeOwned {
    /// `tenant_id`, where the client sends it.
    fn tenant_id(&self) -> Option<Uuid>;
}

impl CommandRequest {
    /// The body's members.
    pub(crate) fn body<B: TenantScopedBody>(&self) -> Result<B, Problem> {
        let body: B = parse_json(&self.body)?;
        self.caller.require_tenant(body.tenant_id())?;
        Ok(body)
    }

    /// What is made of the body's members, away from the threads that serve if the body is long.
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

    /// The body's members, where there may be no body.
    pub(crate) fn body_or_default<B: TenantScopedBody + Default>(&self) -> Result<B, Problem> {
        if self.body.is_empty() {
            return Ok(B::default());
        }
        self.body()
    }
}

/// A body's members. What is no JSON of this shape is refused here, with the place and without the words.
pub(super) fn parse_json<B: DeserializeOwned>(body: &[u8]) -> Result<B, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize::<_, JsonObject<B>>(&mut json);
    let JsonObject(members) = read.map_err(|error| schema_error(error.path(), error.inner()))?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(members)
}

/// A body that is JSON but not of the shape, or not JSON. A client's own words are not repeated: they could be PHI.
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
        // The path ends at the client's own name, which is not repeated.
        pointer.truncate(pointer.rfind('/').unwrap_or(0));
        hint
    } else if let Some(name) = said.strip_prefix("duplicate field `") {
        // The path ends at the object here; the name is one of ours, not the client's.
        pointer = format!("{pointer}/{}", name.split('`').next().unwrap_or_default());
        "duplicate field".to_owned()
    } else {
        "wrong JSON type".to_owned()
    };
    let place = format!("line {}, column {}", error.line(), error.column());
    Problem::new(ProblemCode::InvalidBody, format!("{detail} at {place}"))
        .with_error(pointer, detail)
}

/// What is said of a member that is not known, where the error is one of those. serde ends its message with the names
/// that are known, each between backticks; the client's own name stands before them.
fn unknown_member(said: &str) -> Option<String> {
    let rest = said.strip_prefix("unknown field `")?;
    let (sent, known) = match rest.rsplit_once("`, expected ") {
        Some((sent, known)) => (sent, known),
        None => (rest.split('`').next().unwrap_or_default(), ""),
    };
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    Some(nearest::hint(sent, &known))
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

/// RFC 6901.
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
