//! What a web page open in a developer's browser can do to a `--dev` server on the same machine.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use reqwest::Method;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::server::program;
use roentgen_tests::{EngineKind, TestClient, TestDatabase};
use serde_json::json;

use crate::assertions::{assert_problem, log_head};
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(
    a_dev_server_serves_no_web_page_but_its_own,
    the_demo_serves_none_either,
    a_server_with_tokens_may_be_called_by_any_name_and_through_proxies,
);

/// Headers that a browser sends for foreign pages, and that proxies add.
const FOREIGN: [(&str, &str, ProblemCode); 15] = [
    ("host", "evil.example", ProblemCode::Misdirected),
    ("host", "evil.example:8030", ProblemCode::Misdirected),
    ("host", "localhost.evil.example", ProblemCode::Misdirected),
    ("host", "169.254.169.254", ProblemCode::Misdirected),
    ("origin", "https://evil.example", ProblemCode::Forbidden),
    ("origin", "http://localhost:3000", ProblemCode::Forbidden),
    ("origin", "null", ProblemCode::Forbidden),
    ("sec-fetch-site", "cross-site", ProblemCode::Forbidden),
    ("sec-fetch-site", "same-site", ProblemCode::Forbidden),
    ("forwarded", "for=10.0.0.1", ProblemCode::Forbidden),
    ("x-forwarded-for", "10.0.0.1", ProblemCode::Forbidden),
    (
        "x-forwarded-host",
        "roentgen.example",
        ProblemCode::Forbidden,
    ),
    ("x-forwarded-proto", "https", ProblemCode::Forbidden),
    ("via", "1.1 proxy", ProblemCode::Forbidden),
    ("x-forwarded-port", "443", ProblemCode::Forbidden),
];

/// Content types that a form, or a script without CORS permission, can send.
const SIMPLE: [&str; 3] = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
];

async fn a_dev_server_serves_no_web_page_but_its_own(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let before = log_head(&house.client).await?;
    let nobody = TestClient::new(&house.server.base);
    let body = json!({ "code": "MR", "name": "Magnetic resonance" }).to_string();
    let list = "/imaging/modalities";
    for (name, value, code) in FOREIGN {
        let foreign = nobody.with(name, value);
        let asked = format!("{name}: {value}");
        for path in [
            list,
            "/events?phi=true",
            "/docs",
            "/health/live",
            "/nothing",
        ] {
            assert_problem(&foreign.get(path).await?, code, &asked);
        }
        for kind in SIMPLE.into_iter().chain(["application/json"]) {
            let kinds = [kind];
            let sent = foreign.send_as(&kinds, Method::POST, list, body.clone().into());
            assert_problem(&sent.await?, code, &asked);
        }
        let token = house.caller("admin")?.with(name, value);
        assert_problem(&token.get(list).await?, code, &asked);
    }
    for kind in SIMPLE {
        let kinds = [kind];
        let sent = nobody.send_as(&kinds, Method::POST, list, body.clone().into());
        assert_problem(&sent.await?, ProblemCode::UnsupportedMediaType, kind);
    }
    assert_eq!(log_head(&house.client).await?, before);

    let port = house.server.base.rsplit(':').next().unwrap_or_default();
    for name in ["127.0.0.1", "localhost", "[::1]", "127.8.9.10"] {
        let host = format!("{name}:{port}");
        let own = house.client.with("host", &host);
        let page = own.with("origin", &format!("http://{host}"));
        let page = page.with("sec-fetch-site", "same-origin");
        for caller in [own, page] {
            let read = caller.get(list).await?;
            assert_eq!(read.status, 200, "{host}: {read:?}");
        }
    }
    let typed = house.client.with("sec-fetch-site", "none");
    assert_eq!(typed.get("/docs").await?.status, 200);
    Ok(())
}

async fn the_demo_serves_none_either(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let mut demo = program(&database)
        .args(["demo", "--dev"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let printed = BufReader::new(demo.stdout.take().context("no output")?);
    let asked = async {
        let told = tokio::task::spawn_blocking(move || {
            let mut lines = printed.lines();
            let address = lines.find_map(|line| {
                let line = line.ok()?;
                let (_, rest) = line.split_once("Roentgen at ")?;
                Some(rest.split(',').next()?.to_owned())
            });
            (address, lines)
        });
        // Without the rest the demo would write to a closed pipe.
        let (address, _rest) = told.await?;
        let client = TestClient::new(&address.context("the demo does not say where it serves")?);
        assert_eq!(client.get("/health/live").await?.status, 200);
        for (name, value, code) in FOREIGN {
            let refused = client.with(name, value).get("/imaging/modalities").await?;
            assert_problem(&refused, code, &format!("{name}: {value}"));
        }
        anyhow::Ok(())
    };
    let asked = asked.await;
    demo.kill()?;
    demo.wait()?;
    asked
}

async fn a_server_with_tokens_may_be_called_by_any_name_and_through_proxies(
    engine: EngineKind,
) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    for (name, value, _) in FOREIGN {
        let caller = house.client.with(name, value);
        let read = caller.get("/imaging/modalities").await?;
        assert_eq!(read.status, 200, "{name}: {value}: {read:?}");
    }
    Ok(())
}
