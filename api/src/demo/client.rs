//! A client that prints what it does.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use uuid::Uuid;

/// Talks to the server as the `--dev` admin of one tenant.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    pub(super) tenant: Uuid,
}

impl Client {
    pub(super) fn new(address: SocketAddr, tenant: Uuid) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: format!("http://{address}"),
            tenant,
        }
    }

    /// Does one step, prints it, and expects the status.
    pub(super) async fn step(
        &self,
        says: &str,
        (method, path): (Method, &str),
        body: Option<&Value>,
        expected: StatusCode,
    ) -> anyhow::Result<Value> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base));
        request = request.header("x-tenant-id", self.tenant.to_string());
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("{method} {path}"))?;
        let status = response.status();
        let answer: Value = response
            .json()
            .await
            .with_context(|| format!("{method} {path}"))?;
        println!("  {says}\n    {method} {path} -> {}", status.as_u16());
        ensure!(
            status == expected,
            "{method} {path}: {status} instead of {expected}: {answer}"
        );
        Ok(answer)
    }

    /// Prints every event of the tenant, a line each.
    pub(super) async fn print_trail(&self) -> anyhow::Result<()> {
        let request = self.http.get(format!("{}/events?limit=5000", self.base));
        let response = request
            .header("x-tenant-id", self.tenant.to_string())
            .send()
            .await?;
        ensure!(
            response.status() == StatusCode::OK,
            "GET /events: {}",
            response.status()
        );
        println!(
            "  {:>8}  {:<28} {:>3}  {:<9} hash",
            "position", "type", "ver", "actor"
        );
        for line in response.text().await?.lines() {
            let event: Value = serde_json::from_str(line)?;
            let text = |pointer: &str| {
                event
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let number =
                |pointer: &str| event.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
            let hash: String = text("/hash").chars().take(16).collect();
            let (position, version) = (number("/position"), number("/version"));
            let (kind, actor) = (text("/type"), text("/actor/sub"));
            println!("  {position:>8}  {kind:<28} {version:>3}  {actor:<9} {hash}");
        }
        Ok(())
    }
}

/// The `id` of an answer.
pub(super) fn id(answer: &Value) -> anyhow::Result<&str> {
    answer
        .get("id")
        .and_then(Value::as_str)
        .context("the answer has no id")
}
