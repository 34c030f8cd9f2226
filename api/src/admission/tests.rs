use axum::body::Body;
use http::request::Builder;

use super::*;

fn request(method: &str, target: &str, version: Version) -> Builder {
    let builder = Request::builder().method(method).uri(target);
    builder.version(version)
}

fn get(headers: &[(&str, &str)]) -> Request {
    let builder = request("GET", "/imaging/orders", Version::HTTP_11);
    with(builder, headers)
}

fn with(builder: Builder, headers: &[(&str, &str)]) -> Request {
    let builder = headers.iter().fold(builder, |builder, (name, value)| {
        builder.header(*name, *value)
    });
    builder.body(Body::empty()).unwrap()
}

fn code(request: &Request, dev: bool) -> Option<ProblemCode> {
    check(request, dev).err().map(|problem| problem.code())
}

#[test]
fn a_method_is_one_of_a_closed_set() {
    for method in METHODS {
        let known = with(request(method, "/x", Version::HTTP_11), &[("host", "h")]);
        assert_eq!(code(&known, false), None, "{method}");
        assert_eq!(method_label(known.method()), method);
    }
    for method in ["AAAA000001", "get", "TRACE", "CONNECT", "GETT", "PROPFIND"] {
        let unknown = with(request(method, "/x", Version::HTTP_11), &[("host", "h")]);
        assert_eq!(
            code(&unknown, false),
            Some(ProblemCode::MethodNotImplemented),
            "{method}"
        );
        assert_eq!(method_label(unknown.method()), "other");
    }
}

#[test]
fn a_request_names_exactly_one_host() {
    use Version as V;
    let table: [(Version, &str, &[&str], bool); 20] = [
        (V::HTTP_11, "/x", &["h"], true),
        (V::HTTP_11, "/x", &["h:8030"], true),
        (V::HTTP_11, "/x", &["[::1]:8030"], true),
        (V::HTTP_11, "/x", &[], false),
        (V::HTTP_11, "/x", &["h", "h"], false),
        (V::HTTP_11, "/x", &["h", "other"], false),
        (V::HTTP_11, "/x", &[""], false),
        (V::HTTP_11, "/x", &["a b"], false),
        (V::HTTP_11, "/x", &["user@h"], false),
        (V::HTTP_11, "/x", &["h/path"], false),
        (V::HTTP_11, "http://h/x", &["h"], true),
        (V::HTTP_11, "http://H:80/x", &["h"], true),
        (V::HTTP_11, "http://other/x", &["h"], false),
        (V::HTTP_11, "http://h:81/x", &["h"], false),
        (V::HTTP_11, "http://h/x", &[], false),
        (V::HTTP_10, "/x", &[], true),
        (V::HTTP_10, "/x", &["h", "h"], false),
        (V::HTTP_2, "http://h/x", &[], true),
        (V::HTTP_2, "http://h/x", &["other"], false),
        (V::HTTP_2, "/x", &[], false),
    ];
    for (version, target, hosts, accepted) in table {
        let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let request = with(request("GET", target, version), &headers);
        let expected = (!accepted).then_some(ProblemCode::InvalidHeader);
        assert_eq!(
            code(&request, false),
            expected,
            "{version:?} {target} {hosts:?}"
        );
    }
}

#[test]
fn a_dev_server_is_called_by_its_loopback_names_only() {
    for host in [
        "localhost",
        "LOCALHOST:8030",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.255.255.254:8030",
        "[::1]",
        "[::1]:8030",
    ] {
        assert_eq!(code(&get(&[("host", host)]), true), None, "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "evil.localhost",
        "127.0.0.1.evil.example",
        "128.0.0.1",
        "0.0.0.0",
        "[::]",
        "[::2]",
        "[::ffff:10.0.0.1]",
        "10.0.0.1:8030",
        "2130706433",
        "127.1",
    ] {
        let called = get(&[("host", host)]);
        assert_eq!(
            code(&called, true),
            Some(ProblemCode::Misdirected),
            "{host}"
        );
        assert_eq!(code(&called, false), None, "{host} without --dev");
    }
}

#[test]
fn a_dev_server_takes_no_requests_of_other_pages_or_through_a_proxy() {
    let own: [(&str, &str); 4] = [
        ("origin", "http://127.0.0.1:8030"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("x-tenant-id", "00000000-0000-0000-0000-000000000001"),
    ];
    for (name, value) in own {
        let called = get(&[("host", "127.0.0.1:8030"), (name, value)]);
        assert_eq!(code(&called, true), None, "{name}: {value}");
    }
    let foreign = [
        ("origin", "https://evil.example"),
        ("origin", "http://evil.example:8030"),
        ("origin", "http://127.0.0.1:3000"),
        ("origin", "http://127.0.0.1"),
        ("origin", "https://127.0.0.1:8030"),
        ("origin", "null"),
        ("origin", ""),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("forwarded", "for=10.0.0.1"),
        ("via", "1.1 proxy"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-anything", ""),
    ];
    for (name, value) in foreign {
        let called = get(&[("host", "127.0.0.1:8030"), (name, value)]);
        assert_eq!(
            code(&called, true),
            Some(ProblemCode::Forbidden),
            "{name}: {value}"
        );
        assert_eq!(code(&called, false), None, "{name}: {value} without --dev");
    }
    let both = [
        ("host", "127.0.0.1:8030"),
        ("origin", "http://127.0.0.1:8030"),
        ("origin", "https://evil.example"),
    ];
    assert_eq!(code(&get(&both), true), Some(ProblemCode::Forbidden));
}
