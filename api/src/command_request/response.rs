//! Response to a command.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use roentgen_commands::CommandOutcome;
use roentgen_domain::Aggregate;
use uuid::Uuid;

/// Response header with the log position of the command or read.
pub(crate) const LOG_POSITION: &str = "log-position";

/// Success status of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SuccessKind {
    /// 201, with `Location` in this collection.
    Created(&'static str),
    /// 200.
    Updated,
    /// 201 with `Location` in this collection if the command created the resource, else 200.
    Upserted(&'static str),
}

impl SuccessKind {
    /// Returns the collection of a created resource.
    const fn collection(self, created: bool) -> Option<&'static str> {
        match (self, created) {
            (Self::Created(collection), _) | (Self::Upserted(collection), true) => Some(collection),
            (Self::Updated, _) | (Self::Upserted(_), false) => None,
        }
    }
}

/// Child of an aggregate with its own id.
#[derive(Debug)]
pub(crate) struct ChildResource<P> {
    pub(crate) id: Uuid,
    /// `Location` of the child.
    pub(crate) place: String,
    /// State to render.
    pub(crate) state: P,
}

/// Returns the response to a command, with `document` as body.
pub(crate) fn respond<A: Aggregate>(
    outcome: &CommandOutcome<A>,
    answer: SuccessKind,
    document: String,
) -> Response {
    let resource = &outcome.resource;
    let collection = answer.collection(outcome.created);
    let status = match collection {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::OK,
    };
    let mut response = json(status, document);
    let headers = response.headers_mut();
    insert_header(headers, header::ETAG.as_str(), &etag(resource.version));
    insert_header(headers, LOG_POSITION, &outcome.position.to_string());
    if let Some(collection) = collection {
        insert_header(
            headers,
            header::LOCATION.as_str(),
            &format!("{collection}/{}", resource.id),
        );
    }
    response
}

/// Returns 200 with a resource, or part of one, in a custom rendering.
pub(crate) fn ok_response<A>(outcome: &CommandOutcome<A>, body: String) -> Response {
    let mut response = json(StatusCode::OK, body);
    let headers = response.headers_mut();
    let version = outcome.resource.version;
    insert_header(headers, header::ETAG.as_str(), &etag(version));
    insert_header(headers, LOG_POSITION, &outcome.position.to_string());
    response
}

/// Returns 201 with a child added to its aggregate, and its `Location`.
pub(crate) fn created_response<A>(
    collection: &str,
    id: Uuid,
    outcome: &CommandOutcome<A>,
    body: String,
) -> Response {
    let mut response = json(StatusCode::CREATED, body);
    let headers = response.headers_mut();
    insert_header(
        headers,
        header::ETAG.as_str(),
        &etag(outcome.resource.version),
    );
    insert_header(headers, LOG_POSITION, &outcome.position.to_string());
    insert_header(
        headers,
        header::LOCATION.as_str(),
        &format!("{collection}/{id}"),
    );
    response
}

/// Returns a response with JSON text.
pub(crate) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], body.into()).into_response()
}

/// Returns the `ETag` of a resource: the version of its stream.
pub(crate) fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// Sets a header whose value is known to be visible ASCII.
pub(crate) fn insert_header(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = http::HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
