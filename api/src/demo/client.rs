//! HTTP client that prints its requests.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::users::DemoUser;

/// Maximum time for effects of policies to become visible.
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Client of the demo server.
#[derive(Debug)]
pub(super) struct DemoClient {
    http: reqwest::Client,
    base: String,
}

/// Step of the demo: user, description and expected status.
#[derive(Debug)]
pub(super) struct DemoStep<'a> {
    pub(super) who: &'a DemoUser,
    pub(super) says: &'a str,
    pub(super) expected: StatusCode,
}

impl<'a> DemoStep<'a> {
    /// Creates a resource: expects 201.
    pub(super) const fn create(who: &'a DemoUser, says: &'a str) -> Self {
        Self::with(who, says, StatusCode::CREATED)
    }

    /// Changes or reads a resource: expects 200.
    pub(super) const fn call(who: &'a DemoUser, says: &'a str) -> Self {
        Self::with(who, says, StatusCode::OK)
    }

    /// Expects rejection: 409.
    pub(super) const fn expect_rejection(who: &'a DemoUser, says: &'a str) -> Self {
        Self::with(who, says, StatusCode::CONFLICT)
    }

    /// Expects the given status.
    pub(super) const fn with(who: &'a DemoUser, says: &'a str, expected: StatusCode) -> Self {
        Self {
            who,
            says,
            expected,
        }
    }
}

impl DemoClient {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: format!("http://{address}"),
        }
    }

    pub(super) async fn post(
        &self,
        step: DemoStep<'_>,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        self.take(step, (Method::POST, path), Some(body)).await
    }

    pub(super) async fn patch(
        &self,
        step: DemoStep<'_>,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        self.take(step, (Method::PATCH, path), Some(body)).await
    }

    pub(super) async fn get(&self, step: DemoStep<'_>, path: &str) -> anyhow::Result<Value> {
        self.take(step, (Method::GET, path), None).await
    }

    /// Performs one step, prints it, and checks the status.
    async fn take(
        &self,
        step: DemoStep<'_>,
        (method, path): (Method, &str),
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let (status, answer) = self.send(step.who, (method.clone(), path), body).await?;
        let shown = path.split_once("token=").map_or(path, |pair| pair.0);
        println!("  {:<18} {}", step.who.name, step.says);
        println!("  {:<18} {method} {shown} -> {}", "", status.as_u16());
        ensure!(
            status == step.expected,
            "{method} {shown}: {status} instead of {}: {answer}",
            step.expected
        );
        if status.is_client_error() {
            let code = text(&answer, "/code");
            let detail = text(&answer, "/detail");
            println!("  {:<18} {code}: {detail}", "");
        }
        Ok(answer)
    }

    async fn send(
        &self,
        who: &DemoUser,
        (method, path): (Method, &str),
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, url).bearer_auth(&who.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        let answer = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).context("the answer is no JSON")?
        };
        Ok((status, answer))
    }

    /// Polls until `wanted` returns a value for the response, and prints the effect.
    pub(super) async fn wait_until<T>(
        &self,
        who: &DemoUser,
        says: &str,
        path: &str,
        wanted: impl Fn(&Value) -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        loop {
            let (status, answer) = self.send(who, (Method::GET, path), None).await?;
            if let Some(found) = wanted(&answer) {
                println!("  {:<18} {says}", "(policy)");
                println!("  {:<18} GET {path} -> {}", "", status.as_u16());
                return Ok(found);
            }
            if Instant::now() > deadline {
                bail!("{says}: not after {WAIT_TIMEOUT:?}: {answer}");
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Returns the event feed of the caller's tenant, up to 5000 envelopes.
    pub(super) async fn events(&self, who: &DemoUser) -> anyhow::Result<Vec<Value>> {
        let url = format!("{}/events?limit=5000", self.base);
        let response = self.http.get(url).bearer_auth(&who.token).send().await?;
        ensure!(
            response.status() == StatusCode::OK,
            "GET /events: {}",
            response.status()
        );
        let lines = response.text().await?;
        let events = lines.lines().map(serde_json::from_str);
        Ok(events.collect::<Result<_, _>>()?)
    }
}

/// Returns the `id` of a response.
pub(super) fn id(answer: &Value) -> anyhow::Result<String> {
    let id = answer.get("id").and_then(Value::as_str);
    Ok(id.context("the answer has no id")?.to_owned())
}

/// Returns a text member by JSON Pointer; empty if missing.
pub(super) fn text<'a>(answer: &'a Value, pointer: &str) -> &'a str {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
