//! A client that prints what it does.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::users::DemoUser;

/// What follows by itself is there by then.
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Talks to the server.
#[derive(Debug)]
pub(super) struct DemoClient {
    http: reqwest::Client,
    base: String,
}

/// What is done: by whom, why, and what should come of it.
#[derive(Debug)]
pub(super) struct DemoStep<'a> {
    pub(super) who: &'a DemoUser,
    pub(super) says: &'a str,
    pub(super) expected: StatusCode,
}

impl<'a> DemoStep<'a> {
    /// Makes something.
    pub(super) const fn create(who: &'a DemoUser, says: &'a str) -> Self {
        Self::with(who, says, StatusCode::CREATED)
    }

    /// Changes or reads something.
    pub(super) const fn call(who: &'a DemoUser, says: &'a str) -> Self {
        Self::with(who, says, StatusCode::OK)
    }

    /// Is refused.
    pub(super) const fn expect_rejection(who: &'a DemoUser, says: &'a str) -> Self {
        Self::with(who, says, StatusCode::CONFLICT)
    }

    /// Ends in this status.
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

    /// Takes one step, prints it, and expects what it should come to.
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

    /// Looks until `wanted` finds in the answer what follows by itself, and prints what it is.
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

    /// The whole feed of the caller's tenant, an envelope each.
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

/// The `id` of an answer.
pub(super) fn id(answer: &Value) -> anyhow::Result<String> {
    let id = answer.get("id").and_then(Value::as_str);
    Ok(id.context("the answer has no id")?.to_owned())
}

/// A text member, by its JSON pointer; empty where there is none.
pub(super) fn text<'a>(answer: &'a Value, pointer: &str) -> &'a str {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
