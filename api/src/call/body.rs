//! A command's body: bytes as they arrive, members as they are read, and what is said of those that are neither.

use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::request::Parts;
use http::{Method, header};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::Call;
use crate::fields::Object;
use crate::nearest;
use crate::problem::{Code, Problem};
use crate::serve::stopped_arriving;

/// The longest body, in bytes.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// How much of a longer one is read before it is refused.
const MAX_READ_BYTES: usize = 8 * MAX_BODY_BYTES;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a body may be said to be, and what PATCH takes besides.
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Refuses a body that is not said to be JSON, before any of it is read. A web page can have a browser send any other kind
/// to any server without asking that server first. Where there is no body nothing need be said of it.
pub(super) fn check_media_type(parts: &Parts, body: &Body) -> Result<(), Problem> {
    if body.is_end_stream() || body.size_hint().exact() == Some(0) {
        return Ok(());
    }
    let mut kinds = parts.headers.get_all(header::CONTENT_TYPE).iter();
    let (kind, second) = (kinds.next(), kinds.next());
    let kind = kind.filter(|_| second.is_none());
    let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    let kind = kind.unwrap_or_default().trim();
    let is_patch = parts.method == Method::PATCH && kind.eq_ignore_ascii_case(MERGE_PATCH);
    if !is_patch && !kind.eq_ignore_ascii_case(JSON) {
        let mut detail = "send Content-Type: application/json".to_owned();
        if parts.method == Method::PATCH {
            detail.push_str(" or application/merge-patch+json");
        }
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        let detail = "send the body as it is, without Content-Encoding";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    Ok(())
}

/// The body's bytes, in time.
pub(super) async fn arrived(body: Body) -> Result<Bytes, Problem> {
    let detail = "the body did not arrive within 30 seconds";
    tokio::time::timeout(BODY_TIMEOUT, whole(body))
        .await
        .map_err(|_| Problem::new(Code::RequestTimeout, detail))?
}

/// The body's bytes. One that is too long is read on all the same, up to a bound: a client that sends first and listens
/// then would find the connection broken instead of the answer.
async fn whole(body: Body) -> Result<Bytes, Problem> {
    let refused = || {
        let detail = "a body is at most 8 MiB, and has to arrive whole";
        Problem::new(Code::BodyTooLarge, detail)
    };
    let declared = body.size_hint().exact();
    if declared.is_some_and(|it| it <= MAX_BODY_BYTES as u64) {
        let bytes = to_bytes(body, MAX_BODY_BYTES).await;
        return bytes.map_err(|error| stopped(&error).unwrap_or_else(refused));
    }
    let (mut read, mut length) = (Vec::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| stopped(&error).unwrap_or_else(refused))?;
        length += chunk.len();
        if length <= MAX_BODY_BYTES {
            read.extend_from_slice(&chunk);
        } else if length > MAX_READ_BYTES {
            break;
        }
    }
    if length <= MAX_BODY_BYTES {
        return Ok(read.into());
    }
    Err(refused())
}

/// The problem of a body whose client stopped in the middle of it.
fn stopped(error: &axum::Error) -> Option<Problem> {
    let detail = "no byte of the body came for 10 seconds";
    stopped_arriving(error).then(|| Problem::new(Code::RequestTimeout, detail))
}

/// A body that every command's body is: it may name the tenant.
pub(crate) trait CommandBody: DeserializeOwned {
    /// `tenant_id`, where the client sends it.
    fn tenant_id(&self) -> Option<Uuid>;
}

impl Call {
    /// The body's members.
    pub(crate) fn body<B: CommandBody>(&self) -> Result<B, Problem> {
        let body: B = members(&self.body)?;
        self.caller.owns(body.tenant_id())?;
        Ok(body)
    }

    /// The same, where there may be no body.
    pub(crate) fn body_or_default<B: CommandBody + Default>(&self) -> Result<B, Problem> {
        if self.body.is_empty() {
            return Ok(B::default());
        }
        self.body()
    }
}

/// A body's members. What is no JSON of this shape is refused here, with the place and without the words.
pub(super) fn members<B: DeserializeOwned>(body: &[u8]) -> Result<B, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize::<_, Object<B>>(&mut json);
    let Object(members) = read.map_err(|error| out_of_shape(error.path(), error.inner()))?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(members)
}

/// A body that is JSON but not of the shape, or not JSON. A client's own words are not repeated: they could be PHI.
fn out_of_shape(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return malformed(error);
    }
    let (said, mut pointer) = (error.to_string(), pointer(path));
    let detail = if let Some(hint) = unknown_member(&said) {
        // The path ends at the client's own name, which is not repeated.
        pointer.truncate(pointer.rfind('/').unwrap_or(0));
        hint
    } else if let Some(name) = said.strip_prefix("duplicate field `") {
        // The path ends at the object here; the name is one of ours, not the client's.
        pointer = format!("{pointer}/{}", name.split('`').next().unwrap_or_default());
        "stands there twice".to_owned()
    } else {
        "has another JSON type".to_owned()
    };
    let place = format!("line {}, column {}", error.line(), error.column());
    Problem::new(Code::InvalidBody, format!("a member {detail} ({place})")).at(pointer, detail)
}

/// What is said of a member that is not known, where the error is one of those. serde ends its message with the names that
/// are known, each between backticks; the client's own name stands before them.
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
        let detail = format!("a text holds a lone surrogate, {place}");
        return Problem::new(Code::Unacceptable, detail);
    }
    Problem::new(
        Code::MalformedJson,
        format!("the body is not JSON, {place}"),
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
