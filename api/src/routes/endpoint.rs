//! One method on one path.

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
    /// The HTTP method.
    pub method: HttpMethod,
    /// The path, as the contract writes it.
    pub path: String,
    /// What it asks of its caller.
    pub access: RouteAccess,
    /// What `/openapi.json` says of it.
    pub operation: Operation,
    pub(super) handler: MethodRouter<App>,
    /// What it takes for a body.
    pub(super) body_limits: BodyLimits,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}", self.verb(), self.path, self.access)
    }
}

impl Endpoint {
    /// The method as HTTP writes it.
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

    /// Method and path come from the handler's own description, so that what is served and what is described are one.
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

    /// The same for bodies that list thousands of instances.
    pub(super) const fn with_long_bodies(mut self) -> Self {
        self.body_limits = BodyLimits::SYNC;
        self
    }

    /// The same GET, which leaves an event: HEAD, which otherwise runs it and drops the body, is refused.
    pub(super) fn with_effects(mut self) -> Self {
        self.handler = self.handler.on(MethodFilter::HEAD, refuse_head);
        self
    }
}

/// HEAD on a path where a GET leaves an event.
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
