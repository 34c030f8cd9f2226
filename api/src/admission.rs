//! Checks of every request before routing: a supported HTTP method and exactly one host. A `--dev` server also rejects
//! requests from web pages of other origins and through proxies.

use axum::extract::Request;
use http::header::{FORWARDED, HOST, ORIGIN, VIA};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::problem::{Problem, ProblemCode};

/// Supported methods.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Label of every other method in metrics and log lines; bounds cardinality, because clients may send any method.
const OTHER_METHOD: &str = "other";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Values of `Sec-Fetch-Site` for the server's own pages and for addresses that the user entered.
const OWN_SITES: [&str; 2] = ["same-origin", "none"];
/// Prefix of headers that only proxies set, apart from `Forwarded` and `Via`.
const PROXY_PREFIX: &str = "x-forwarded-";

/// Returns the method's name for labels and log lines, from a closed set.
pub(crate) fn method_label(method: &Method) -> &'static str {
    let mut known = METHODS.into_iter();
    known
        .find(|name| *name == method.as_str())
        .unwrap_or(OTHER_METHOD)
}

/// Rejects requests that must not be routed.
pub(crate) fn check(request: &Request, dev: bool) -> Result<(), Problem> {
    if method_label(request.method()) == OTHER_METHOD {
        let detail = format!("the methods are {}", METHODS.join(", "));
        return Err(Problem::new(ProblemCode::MethodNotImplemented, detail));
    }
    let host = named_host(request)?;
    if dev {
        check_dev(request.headers(), host.as_ref())?;
    }
    Ok(())
}

/// Returns the host of the request (RFC 9112, section 3.2; RFC 9113, section 8.3.1). HTTP/1.0 requests may omit it.
fn named_host(request: &Request) -> Result<Option<Authority>, Problem> {
    let mut headers = request.headers().get_all(HOST).iter();
    let header = headers.next().map(parse_host).transpose()?;
    if headers.next().is_some() {
        return Err(bad_host("the request has more than one Host"));
    }
    let target = request.uri().authority().cloned();
    match (target, header) {
        (Some(target), _) if target.as_str().contains('@') => {
            Err(bad_host("the request's target names a user"))
        }
        (Some(target), Some(header)) if !is_same(&target, &header) => Err(bad_host(
            "Host differs from the host in the request's target",
        )),
        (_, None) if request.version() == Version::HTTP_11 => {
            Err(bad_host("the request has no Host"))
        }
        (None, None) if request.version() > Version::HTTP_11 => {
            Err(bad_host("the request has no :authority"))
        }
        (target, header) => Ok(target.or(header)),
    }
}

fn parse_host(value: &HeaderValue) -> Result<Authority, Problem> {
    let host = Authority::try_from(value.as_bytes()).ok();
    let host = host.filter(|host| !host.as_str().contains('@') && !host.host().is_empty());
    host.ok_or_else(|| bad_host("Host must be a host, with or without a port"))
}

fn bad_host(detail: &str) -> Problem {
    Problem::new(ProblemCode::InvalidHeader, detail)
}

fn is_same(one: &Authority, other: &Authority) -> bool {
    let port = |of: &Authority| of.port_u16().unwrap_or(80);
    one.host().eq_ignore_ascii_case(other.host()) && port(one) == port(other)
}

/// Rejects requests that do not come directly from a local client. Without tokens, every caller that reaches the port
/// is admin of every tenant: a browser reaches it for any open page, a proxy for any client.
fn check_dev(headers: &HeaderMap, host: Option<&Authority>) -> Result<(), Problem> {
    if host.is_some_and(|host| !is_loopback(host.host())) {
        let detail = "with --dev the server is called as localhost, 127.0.0.1 or [::1]; \
            to serve under another name, start it with --jwt-secret and without --dev";
        return Err(Problem::new(ProblemCode::Misdirected, detail));
    }
    if is_proxied(headers) {
        let detail = "with --dev the server is not called through a proxy; \
            start it with --jwt-secret and without --dev";
        return Err(Problem::new(ProblemCode::Forbidden, detail));
    }
    if is_from_another_page(headers, host) {
        let detail = "with --dev the server takes no requests of web pages that it did not serve";
        return Err(Problem::new(ProblemCode::Forbidden, detail));
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(inside) => inside.parse().map(std::net::IpAddr::V6),
        None => host.parse().map(std::net::IpAddr::V4),
    };
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn is_proxied(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED)
        || headers.contains_key(VIA)
        || headers
            .keys()
            .any(|name| name.as_str().starts_with(PROXY_PREFIX))
}

/// Returns whether another page sent the request, judged by headers that browsers add and pages cannot omit or alter.
fn is_from_another_page(headers: &HeaderMap, host: Option<&Authority>) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    origins.any(|origin| !is_origin_of(origin, host))
        || sites.any(|site| !OWN_SITES.iter().any(|own| site == own))
}

fn is_origin_of(origin: &HeaderValue, host: Option<&Authority>) -> bool {
    let page = origin.to_str().ok();
    let page = page.and_then(|origin| origin.strip_prefix("http://"));
    let page = page.and_then(|page| page.parse::<Authority>().ok());
    page.zip(host)
        .is_some_and(|(page, host)| is_same(&page, host))
}

#[cfg(test)]
mod tests;
