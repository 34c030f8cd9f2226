//! One method on one path.

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use utoipa::openapi::HttpMethod;
use utoipa::openapi::path::Operation;

use crate::access::Access;
use crate::app::App;

/// One method on one path.
pub struct Endpoint {
    /// The HTTP method.
    pub method: HttpMethod,
    /// The path, as the contract writes it.
    pub path: String,
    /// What it asks of its caller.
    pub access: Access,
    /// What `/openapi.json` says of it.
    pub operation: Operation,
    pub(super) handler: MethodRouter<App>,
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
    pub(super) fn new<P, H, T>(_described: P, access: Access, handler: H) -> Self
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
        }
    }
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
