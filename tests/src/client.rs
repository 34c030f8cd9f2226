//! A client of the API that keeps what it is told.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;
use uuid::Uuid;

use crate::sse::SseReader;

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct TestResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's text.
    pub text: String,
}

impl TestResponse {
    /// The body as JSON; `null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A member that is a string, by JSON pointer; empty where there is none.
    pub fn text_at(&self, pointer: &str) -> String {
        self.json()
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// A header's text; empty where there is none.
    pub fn header(&self, name: &str) -> String {
        let value = self
            .headers
            .get(name)
            .and_then(|header| header.to_str().ok());
        value.unwrap_or_default().to_owned()
    }

    /// A header that is a whole number; 0 where there is none.
    pub fn number(&self, name: &str) -> u64 {
        self.header(name).parse().unwrap_or_default()
    }

    /// The ids of a list's rows, in its order.
    pub fn ids(&self) -> Vec<String> {
        let list = self.json();
        let rows = list.as_array().map(Vec::as_slice).unwrap_or_default();
        rows.iter()
            .filter_map(|row| row.get("id")?.as_str().map(str::to_owned))
            .collect()
    }

    /// The lines of an NDJSON body.
    pub fn lines(&self) -> Vec<Value> {
        self.text
            .lines()
            .map(|text| serde_json::from_str(text).unwrap_or_default())
            .collect()
    }

    /// Where the next page is, as `Link: <...>; rel="next"` says.
    pub fn next_page(&self) -> Option<String> {
        let link = self.header("link");
        let target = link.strip_suffix("; rel=\"next\"")?;
        Some(target.strip_prefix('<')?.strip_suffix('>')?.to_owned())
    }

    /// Whether the server was too busy and asks for a retry that cannot do anything twice: it wrote nothing, or the
    /// request has an `Idempotency-Key`.
    fn can_be_retried(&self, has_key: bool) -> bool {
        let is_busy = self.status == 503 && !self.header("retry-after").is_empty();
        let codes = ["contention", "unavailable", "projection_lagging"];
        let code = self.code();
        is_busy && (codes.contains(&code.as_str()) || has_key && code == "outcome_unknown")
    }

    /// The problem's `code`; empty where it is none.
    pub fn code(&self) -> String {
        self.text_at("/code")
    }
}

/// Talks to one server as one caller.
#[derive(Debug, Clone)]
pub struct TestClient {
    http: reqwest::Client,
    base: String,
    headers: Vec<(String, String)>,
    limit: Option<Duration>,
    repeats: bool,
    keys: bool,
}

const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// How long a request is repeated, and the pause before the next one.
const REPEAT_TIMEOUT: Duration = Duration::from_secs(60);
const REPEAT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection may be idle and still be used. The server closes one after 10 s, and cuts off a request that
/// is sent at that moment.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

impl TestClient {
    /// The `--dev` admin of a tenant.
    pub fn dev(base: &str, tenant: Uuid) -> Self {
        Self::new(base).with("x-tenant-id", &tenant.to_string())
    }

    /// Nobody.
    pub fn new(base: &str) -> Self {
        let http = reqwest::Client::builder().pool_idle_timeout(IDLE_TIMEOUT);
        Self {
            http: http.build().unwrap_or_default(),
            base: base.to_owned(),
            headers: Vec::new(),
            limit: None,
            repeats: false,
            keys: false,
        }
    }

    /// The same with a header on every request.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.retain(|(text, _)| text != name);
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// The same with a bearer token.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// The same, which waits no longer than this for an answer.
    #[must_use]
    pub fn with_timeout(&self, limit: Duration) -> Self {
        Self {
            limit: Some(limit),
            ..self.clone()
        }
    }

    /// Returns a client that retries as the contract says: a 503 with `Retry-After` that wrote nothing, or whose request
    /// has an `Idempotency-Key`. On a busy machine many commands on one resource are answered so at their deadline.
    #[must_use]
    pub fn repeating(&self) -> Self {
        Self {
            repeats: true,
            ..self.clone()
        }
    }

    /// Returns a client for the set-up of a test: each of its commands has an `Idempotency-Key` of its own and is
    /// retried, so that a database that takes longer than a command's deadline fails no test about something else.
    #[must_use]
    pub fn for_setup(&self) -> Self {
        Self {
            repeats: true,
            keys: true,
            ..self.clone()
        }
    }

    /// The same towards another server.
    #[must_use]
    pub fn with_base_url(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(limit) = self.limit {
            request = request.timeout(limit);
        }
        self.headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }

    /// Begins to read server-sent events.
    pub async fn listen(&self, path: &str) -> Result<SseReader> {
        let request = self.request(Method::GET, path);
        Ok(SseReader::new(
            request.header("accept", "text/event-stream").send().await?,
        ))
    }

    /// Sends bytes, as they are.
    pub async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<TestResponse> {
        let json: &[&str] = match body.as_slice() {
            [] => &[],
            [_, ..] => &["application/json"],
        };
        self.send_as(json, method, path, body).await
    }

    /// Sends bytes that are said to be of these kinds.
    pub async fn send_as(
        &self,
        kinds: &[&str],
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<TestResponse> {
        if self.keys && method != Method::GET {
            let keyed = Self {
                keys: false,
                ..self.with(
                    IDEMPOTENCY_KEY,
                    &roentgen_store::clock::fresh_id().to_string(),
                )
            };
            return Box::pin(keyed.send_as(kinds, method, path, body)).await;
        }
        let has_key = self.headers.iter().any(|(name, _)| name == IDEMPOTENCY_KEY);
        let deadline = Instant::now() + REPEAT_TIMEOUT;
        loop {
            let sending = self.send_once(kinds, &method, path, body.clone());
            let answer = Box::pin(sending).await?;
            let is_repeated = self.repeats && answer.can_be_retried(has_key);
            if !is_repeated || Instant::now() >= deadline {
                return Ok(answer);
            }
            tokio::time::sleep(REPEAT_PAUSE).await;
        }
    }

    async fn send_once(
        &self,
        kinds: &[&str],
        method: &Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<TestResponse> {
        let request = self.request(method.clone(), path);
        let said = kinds.iter().fold(request, |request, kind| {
            request.header("content-type", *kind)
        });
        answer(said.body(body), &format!("{method} {path}")).await
    }

    /// POST without saying how long the body is.
    pub async fn post_chunked(&self, path: &str, body: Vec<u8>) -> Result<TestResponse> {
        let chunks: Vec<_> = body.chunks(64 * 1024).map(<[u8]>::to_vec).collect();
        let chunks = futures_util::stream::iter(chunks.into_iter().map(std::io::Result::Ok));
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", "application/json");
        let request = request.body(reqwest::Body::wrap_stream(chunks));
        answer(request, &format!("POST {path}")).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Result<TestResponse> {
        self.send(Method::GET, path, Vec::new()).await
    }

    /// POST, JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<TestResponse> {
        self.send(Method::POST, path, serde_json::to_vec(body)?)
            .await
    }

    /// PATCH, JSON.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<TestResponse> {
        self.send(Method::PATCH, path, serde_json::to_vec(body)?)
            .await
    }
}

async fn answer(request: RequestBuilder, asked: &str) -> Result<TestResponse> {
    let response = request.send().await.with_context(|| asked.to_owned())?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = response.text().await.with_context(|| asked.to_owned())?;
    Ok(TestResponse {
        status,
        headers,
        text,
    })
}
