//! The host that a request names, sent as raw bytes.

use anyhow::{Context as _, Result};
use roentgen_tests::EngineKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(a_request_names_exactly_one_host);

/// Sends the bytes of a request and reads until the server closes the connection.
pub(super) async fn exchange(base: &str, request: &str) -> Result<String> {
    let address = base.strip_prefix("http://").context("no address")?;
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn a_request_names_exactly_one_host(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let own = house.server.base.trim_start_matches("http://").to_owned();
    let host = format!("Host: {own}\r\n");
    let absolute = format!("http://{own}/health/live");
    let same = "http://localhost/health/live";
    let table = [
        ("/health/live", "1.1", host.clone(), 200),
        ("/health/live", "1.1", String::new(), 400),
        ("/health/live", "1.1", host.repeat(2), 400),
        ("/health/live", "1.1", format!("{host}Host: other\r\n"), 400),
        ("/health/live", "1.1", "Host:\r\n".to_owned(), 400),
        ("/health/live", "1.1", "Host: a b\r\n".to_owned(), 400),
        ("/health/live", "1.0", String::new(), 200),
        ("/health/live", "1.0", host.repeat(2), 400),
        (&absolute, "1.1", host.clone(), 200),
        (&absolute, "1.1", String::new(), 400),
        (same, "1.1", "Host: localhost:80\r\n".to_owned(), 200),
        (same, "1.1", host.clone(), 400),
        ("http://evil.example/health/live", "1.1", host.clone(), 400),
        (
            "/health/live",
            "1.1",
            "Host: evil.example\r\n".to_owned(),
            421,
        ),
    ];
    for (target, version, hosts, status) in table {
        let request = format!("GET {target} HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n");
        let answer = exchange(&house.server.base, &request).await?;
        let got = answer.split(' ').nth(1).unwrap_or_default();
        assert_eq!(got, status.to_string(), "{request}: {answer}");
    }
    Ok(())
}
