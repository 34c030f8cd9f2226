//! Endpoints, from which the router and the OpenAPI document are built.

use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{HeaderValue, header};
use utoipa::openapi::HttpMethod;
use utoipa::openapi::path::Operation;

use crate::app::App;
use crate::authorization::RouteAccess;
use crate::command_request::BodyLimits;
use crate::problem::{Problem, ProblemCode};

/// One method on one path.
pub struct Endpoint {
    /// HTTP method.
    pub method: HttpMethod,
    /// Path, as in the OpenAPI document.
    pub path: String,
    /// Access that the caller needs.
    pub access: RouteAccess,
    /// Operation in `/openapi.json`.
    pub operation: Operation,
    pub(super) handler: MethodRouter<App>,
    /// Limits of the request body.
    pub(super) body_limits: BodyLimits,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}", self.verb(), self.path, self.access)
    }
}

impl Endpoint {
    /// Returns the HTTP name of the method.
    pub fn verb(&self) -> &'static str {
        match self.method {
            HttpMethod::Get => "GET",
            HttpMethod::Post => "POST",
            HttpMethod::Put => "PUT",
            HttpMethod::Delete => "DELETE",
            HttpMethod::Options => "OPTIONS",
            HttpMethod::Head => "HEAD",
            HttpMethod::Patch => "PATCH",
            HttpMethod::Trace => "TRACE",
        }
    }

    /// Creates an endpoint. Method and path come from the handler's OpenAPI description, so both always agree.
    pub(super) fn new<P, H, T>(_described: P, access: RouteAccess, handler: H) -> Self
    where
        P: utoipa::Path,
        H: Handler<T, App>,
        T: 'static,
    {
        let method = P::methods().pop().unwrap_or(HttpMethod::Get);
        let handler = on(filter(&method), handler);
        Self {
            method,
            path: P::path(),
            access,
            operation: P::operation(),
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

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
    }
}
