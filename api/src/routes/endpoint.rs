//! Endpoints, from which the router and the OpenAPI document are built.

use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter};
use http::{HeaderValue, header};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{HttpMethod, RefOr, Schema};
use utoipa_axum::router::UtoipaMethodRouter;

use crate::app::App;
use crate::authorization::RouteAccess;
use crate::command_request::BodyLimits;
use crate::problem::{Problem, ProblemCode};

/// One method on one path.
pub struct Endpoint {
    /// HTTP method, in capitals.
    pub method: &'static str,
    pub(crate) http_method: HttpMethod,
    /// Path, as in the OpenAPI document.
    pub path: String,
    /// Access that the caller needs.
    pub access: RouteAccess,
    /// Operation in `/openapi.json`.
    pub operation: Operation,
    /// Schemas that the operation refers to, by name.
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    pub(super) handler: MethodRouter<App>,
    /// Limits of the request body.
    pub(super) body_limits: BodyLimits,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}", self.method, self.path, self.access)
    }
}

impl Endpoint {
    /// Creates an endpoint from a described handler: `Endpoint::new(routes!(orders::create), access)`.
    pub(super) fn new(described: UtoipaMethodRouter<App>, access: RouteAccess) -> Self {
        let (schemas, paths, handler) = described;
        let (path, item) = paths.paths.into_iter().next().unwrap_or_default();
        let described = the_operation(item);
        let (method, http_method, operation) =
            described.unwrap_or(("GET", HttpMethod::Get, Operation::default()));
        Self {
            method,
            http_method,
            path,
            access,
            operation,
            schemas,
            handler,
            body_limits: BodyLimits::USUAL,
        }
    }

    /// Allows bodies that list thousands of instances.
    pub(super) const fn with_long_bodies(mut self) -> Self {
        self.body_limits = BodyLimits::SYNC;
        self
    }

    /// Rejects HEAD, because this GET appends an event; otherwise HEAD runs the GET and drops the body.
    pub(super) fn with_effects(mut self) -> Self {
        self.handler = self.handler.on(MethodFilter::HEAD, refuse_head);
        self
    }
}

/// Rejects HEAD on a path whose GET appends an event.
async fn refuse_head() -> Response {
    let detail = "a GET of this path leaves an event in the log, and HEAD leaves none: send a GET";
    let mut refused = Problem::new(ProblemCode::MethodNotAllowed, detail).into_response();
    let allowed = HeaderValue::from_static("GET");
    refused.headers_mut().insert(header::ALLOW, allowed);
    refused
}

/// Returns the only operation of a path item, with its method.
fn the_operation(item: PathItem) -> Option<(&'static str, HttpMethod, Operation)> {
    let operations = [
        ("GET", HttpMethod::Get, item.get),
        ("POST", HttpMethod::Post, item.post),
        ("PUT", HttpMethod::Put, item.put),
        ("PATCH", HttpMethod::Patch, item.patch),
        ("DELETE", HttpMethod::Delete, item.delete),
    ];
    let found = operations.into_iter();
    let mut found = found.filter_map(|(name, method, operation)| Some((name, method, operation?)));
    found.next()
}
