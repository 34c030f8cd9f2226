//! Requests that are rejected for their form, before their content is looked at.

mod hosts;
mod named;
mod pages;

use std::collections::BTreeSet;

use anyhow::Result;
use reqwest::Method;
use roentgen_api::openapi;
use roentgen_api::problem::ProblemCode;
use roentgen_api::routes;
use roentgen_tests::{EngineKind, TestClient, TestResponse};

use crate::assertions::{assert_problem, log_head};
use crate::test_app::{TestApp, fresh, on_both_engines, token_of};

on_both_engines!(
    an_invented_method_is_refused_and_named_nowhere,
    nothing_that_a_client_invents_makes_a_series,
    a_body_that_is_not_json_is_refused_on_every_route,
    every_answer_says_what_browsers_and_caches_may_do,
    no_head_leaves_an_event,
);

/// Roles that together have every permission of a tenant's caller.
const ROLES: [&str; 5] = [
    "admin",
    "radiologist",
    "technologist",
    "integration",
    "ai_worker",
];

/// Returns every route with one of these methods; ids in paths are random.
fn paths(verbs: &[&str]) -> Vec<(Method, String)> {
    let endpoints = routes::endpoints(false).into_iter();
    let wanted = endpoints.filter(|endpoint| verbs.contains(&endpoint.method));
    let filled = wanted.map(|endpoint| {
        let steps = endpoint
            .path
            .split('/')
            .map(|step| match step.starts_with('{') {
                true => fresh().to_string(),
                false => step.to_owned(),
            });
        let path = steps.collect::<Vec<_>>().join("/");
        (endpoint.method.parse().unwrap(), path)
    });
    filled.collect()
}

/// Callers that together may call every route, on a server without `--dev`.
struct Callers {
    house: TestApp,
    all: TestClient,
    operator: TestClient,
}

impl Callers {
    async fn open(engine: EngineKind) -> Result<Self> {
        let house = TestApp::start_with_auth(engine).await?;
        let all = token_of(&house.database, &ROLES, Some(house.tenant), Some(fresh()))?;
        let all = TestClient::new(&house.server.base).bearer(&all);
        let operator = house.operator()?;
        Ok(Self {
            house,
            all,
            operator,
        })
    }

    fn client_for(&self, path: &str) -> &TestClient {
        if path.starts_with("/admin/") || path == "/metrics" {
            return &self.operator;
        }
        &self.all
    }
}

async fn an_invented_method_is_refused_and_named_nowhere(engine: EngineKind) -> Result<()> {
    let house = TestApp::open_with(engine, &["--dev", "--log", "debug"]).await?;
    let long = "WOMBAT".repeat(9_000);
    for method in ["WOMBAT", "wombat", "TRACE", "get", &long] {
        let method = Method::from_bytes(method.as_bytes())?;
        for path in ["/imaging/orders", "/nothing", "/health/live"] {
            let sent = house.client.send(method.clone(), path, Vec::new());
            assert_problem(&sent.await?, ProblemCode::MethodNotImplemented, path);
        }
    }
    for method in [Method::DELETE, Method::PUT, Method::OPTIONS] {
        let known = house.client.send(method, "/imaging/orders", Vec::new());
        assert_problem(
            &known.await?,
            ProblemCode::MethodNotAllowed,
            "a known method",
        );
    }
    let said = house.client.get("/metrics").await?.text + &house.server.logged()?;
    assert!(said.contains(r#"method="other""#), "{said}");
    assert!(!said.to_ascii_lowercase().contains("wombat"), "{said}");
    Ok(())
}

async fn nothing_that_a_client_invents_makes_a_series(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let invented = async |number: usize| {
        let named = format!("X{number}");
        let method = Method::from_bytes(named.as_bytes())?;
        house
            .client
            .send(method, &format!("/{named}"), Vec::new())
            .await?;
        let odd = house.client.with(&named, &named);
        odd.get(&format!("/{named}?{named}={named}")).await?;
        odd.get(&format!("/imaging/orders/{}", fresh())).await?;
        odd.get(&format!("/imaging/orders?{named}={named}")).await?;
        let versioned = format!(
            "GET /{named} HTTP/1.{}\r\nConnection: close\r\n\r\n",
            number % 10
        );
        hosts::exchange(&house.server.base, &versioned).await?;
        anyhow::Ok(())
    };
    for number in 1_000..1_010 {
        invented(number).await?;
    }
    series(&house.client).await?;
    let before = series(&house.client).await?;
    for number in 0..1_000 {
        invented(number).await?;
    }
    assert_eq!(series(&house.client).await?, before);
    Ok(())
}

/// Returns the names and labels of the request metrics.
async fn series(client: &TestClient) -> Result<BTreeSet<String>> {
    let metrics = client.get("/metrics").await?;
    assert_eq!(metrics.status, 200, "{metrics:?}");
    let lines = metrics.text.lines();
    let of_requests = lines.filter(|line| line.starts_with("roentgen_request"));
    let names = of_requests.filter_map(|line| line.rsplit_once(' '));
    Ok(names.map(|(name, _)| name.to_owned()).collect())
}

async fn a_body_that_is_not_json_is_refused_on_every_route(engine: EngineKind) -> Result<()> {
    let callers = Callers::open(engine).await?;
    let before = log_head(&callers.house.client).await?;
    let kinds: [&[&str]; 9] = [
        &[],
        &["text/plain"],
        &["application/x-www-form-urlencoded"],
        &["multipart/form-data; boundary=x"],
        &["application/jsonp"],
        &["application/json, text/plain"],
        &["application/json", "application/json"],
        &["text/plain; application/json"],
        &[""],
    ];
    let merge_patch: &[&str] = &["application/merge-patch+json"];
    let taken: [&[&str]; 3] = [
        &["application/json"],
        &["Application/JSON"],
        &["application/json; charset=utf-8"],
    ];
    let all = paths(&["POST", "PATCH", "PUT"]);
    assert!(all.len() > 30, "{all:?}");
    for (method, path) in all {
        let caller = callers.client_for(&path);
        let asked = |kinds: &[&str]| format!("{method} {path} {kinds:?}");
        let send = async |kinds: &[&str]| {
            let body = b"{\"wombat\":1}".to_vec();
            caller.send_as(kinds, method.clone(), &path, body).await
        };
        for kinds in kinds {
            assert_problem(
                &send(kinds).await?,
                ProblemCode::UnsupportedMediaType,
                &asked(kinds),
            );
        }
        for kinds in taken {
            assert_problem(&send(kinds).await?, ProblemCode::InvalidBody, &asked(kinds));
        }
        let patched = if method == Method::PATCH {
            ProblemCode::InvalidBody
        } else {
            ProblemCode::UnsupportedMediaType
        };
        assert_problem(&send(merge_patch).await?, patched, &asked(merge_patch));
        let compressed = caller.with("content-encoding", "gzip");
        let compressed = compressed
            .send(method.clone(), &path, b"{}".to_vec())
            .await?;
        assert_problem(
            &compressed,
            ProblemCode::UnsupportedMediaType,
            &asked(&["gzip"]),
        );
        let bare = caller.send(method.clone(), &path, Vec::new()).await?;
        assert_ne!(bare.status, 415, "{}: {bare:?}", asked(&[]));
    }
    assert_eq!(log_head(&callers.house.client).await?, before);
    Ok(())
}

async fn every_answer_says_what_browsers_and_caches_may_do(engine: EngineKind) -> Result<()> {
    let callers = Callers::open(engine).await?;
    let mut all = paths(&["GET", "POST", "PATCH", "PUT"]);
    for method in ["GET", "POST", "DELETE", "OPTIONS", "WOMBAT"] {
        let method: Method = method.parse()?;
        all.push((method.clone(), "/nothing".to_owned()));
        all.push((method, "/imaging/orders".to_owned()));
    }
    all.push((Method::GET, "/problems/not_found".to_owned()));
    all.push((Method::GET, "/imaging/orders?limit=0".to_owned()));
    let nobody = TestClient::new(&callers.house.server.base);
    for (method, path) in all {
        for caller in [callers.client_for(&path), &nobody] {
            let answer = caller.send(method.clone(), &path, Vec::new()).await?;
            guarded(&answer, &format!("{method} {path}"));
        }
    }
    let page = nobody.get("/docs").await?;
    assert!(page.header("content-type").starts_with("text/html"));
    let policy = page.header("content-security-policy");
    for (open, close, directive) in [
        ("<script>", "</script>", "script-src"),
        ("<style>", "</style>", "style-src"),
    ] {
        assert_eq!(page.text.matches(open).count(), 1, "{open}");
        let (_, rest) = page.text.split_once(open).unwrap_or_default();
        let (inline, _) = rest.split_once(close).unwrap_or_default();
        let expected = format!("{directive} {}", openapi::source_of(inline));
        assert!(policy.contains(&expected), "{expected} is not in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    Ok(())
}

fn guarded(answer: &TestResponse, asked: &str) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(answer.header(name), value, "{name} of {asked}: {answer:?}");
    }
    let policy = answer.header("content-security-policy");
    for part in ["default-src 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{asked}: {answer:?}");
    }
}

async fn no_head_leaves_an_event(engine: EngineKind) -> Result<()> {
    let callers = Callers::open(engine).await?;
    let before = log_head(&callers.house.client).await?;
    for (_, path) in paths(&["GET"]) {
        let caller = callers.client_for(&path);
        let answer = caller.send(Method::HEAD, &path, Vec::new()).await?;
        assert_eq!(answer.text, "", "HEAD {path}: {answer:?}");
        assert_eq!(
            log_head(&callers.house.client).await?,
            before,
            "HEAD {path}"
        );
    }
    Ok(())
}
