//! `roentgen serve`: shutdown.

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use roentgen_tests::server::program;
use roentgen_tests::{EngineKind, Server, TestClient, poll};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::test_app::{TestApp, on_both_engines, serve};

on_both_engines!(
    finishes_what_was_begun,
    refuses_another_master_key,
    starts_again_where_it_was,
    leaves_no_core_dump,
);

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

/// A core dump would contain the keys.
async fn leaves_no_core_dump(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", house.server.pid()))?;
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core.unwrap_or_default().split_whitespace().collect();
    assert_eq!(core, ["Max", "core", "file", "size", "0", "0", "bytes"]);
    Ok(())
}

async fn finishes_what_was_begun(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let address = house.server.base.trim_start_matches("http://").to_owned();
    let body = house.order().to_string();
    let (first, rest) = body.split_at(body.len() / 2);
    let mut begun = TcpStream::connect(&address).await?;
    let head = format!(
        "POST /imaging/orders HTTP/1.1\r\nhost: localhost\r\nx-tenant-id: {}\r\n\
        content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        house.tenant,
        body.len()
    );
    begun.write_all(head.as_bytes()).await?;
    let mut interim = [0; 25];
    begun.read_exact(&mut interim).await?;
    assert!(
        interim.starts_with(b"HTTP/1.1 100 Continue"),
        "the server reads the body by now"
    );
    begun.write_all(first.as_bytes()).await?;
    house.server.signal("TERM")?;
    let refused = async || TcpStream::connect(&address).await.is_err();
    poll::wait_until("no more connections", RESPONSE_TIMEOUT, refused, |flag| {
        *flag
    })
    .await?;
    begun.write_all(rest.as_bytes()).await?;
    let mut answer = String::new();
    begun.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 201 Created"), "{answer}");
    assert_eq!(house.server.wait()?, Some(0));
    let again = Server::start(&house.database, &["--dev"]).await?;
    assert_eq!(
        house
            .client
            .with_base_url(&again.base)
            .get("/imaging/orders")
            .await?
            .ids()
            .len(),
        1
    );
    Ok(())
}

async fn starts_again_where_it_was(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let order = house
        .create_order(json!({ "metadata": { "a": 1 } }))
        .await?;
    let before = house.client.get("/events").await?.text;
    assert_eq!(house.server.terminate()?, Some(0));
    for arguments in [["--dev", "--log=info"], ["--dev", "--no-migrate"]] {
        let server = serve(&house.database, &arguments).await?;
        let client = house.client.with_base_url(&server.base);
        let read = client.get(&order.header("location")).await?;
        assert_eq!(
            (read.status, &read.text),
            (200, &order.text),
            "the patient's key opens what it sealed"
        );
        assert_eq!(
            client.get("/events").await?.text,
            before,
            "a start appends nothing"
        );
        let ready = async || {
            client
                .get("/health/ready")
                .await
                .map(|response| response.json())
                .ok()
        };
        let projected = |value: &Option<serde_json::Value>| {
            value.as_ref().is_some_and(|value| value["lag"] == 0)
        };
        poll::wait_until("the read models", RESPONSE_TIMEOUT, ready, projected).await?;
        let live = client
            .send(Method::HEAD, "/health/live", Vec::new())
            .await?;
        assert_eq!((live.status, live.text.as_str()), (200, ""));
        assert_eq!(server.terminate()?, Some(0));
    }
    Ok(())
}

async fn refuses_another_master_key(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let other = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=";
    let refused = program(&house.database)
        .args(["serve", "--dev", "--master-key", other])
        .output()?;
    let said = String::from_utf8(refused.stderr)?;
    assert!(
        !refused.status.success() && said.contains("master key"),
        "{said}"
    );
    assert!(!said.contains(other), "{said}");
    assert_eq!(
        TestClient::new(&house.server.base)
            .get("/health/ready")
            .await?
            .status,
        200
    );
    Ok(())
}
