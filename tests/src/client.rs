//! HTTP client of the API for tests.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;
use uuid::Uuid;

use crate::described;
use crate::sse::SseReader;

/// Response, read to its end.
#[derive(Debug, Clone)]
pub struct TestResponse {
    /// HTTP status.
    pub status: u16,
    /// Response headers.
    pub headers: HeaderMap,
    /// Body as text.
    pub text: String,
}

impl TestResponse {
    /// Returns the body as JSON, or `null` if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Returns a string member by JSON pointer, or an empty string if it does not exist.
    pub fn text_at(&self, pointer: &str) -> String {
        self.json()
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// Returns a header as text, or an empty string if it does not exist.
    pub fn header(&self, name: &str) -> String {
        let value = self
            .headers
            .get(name)
            .and_then(|header| header.to_str().ok());
        value.unwrap_or_default().to_owned()
    }

    /// Returns a header as an integer, or 0 if it is none.
    pub fn number(&self, name: &str) -> u64 {
        self.header(name).parse().unwrap_or_default()
    }

    /// Returns the ids of a list's rows, in order.
    pub fn ids(&self) -> Vec<String> {
        let list = self.json();
        let rows = list.as_array().map(Vec::as_slice).unwrap_or_default();
        rows.iter()
            .filter_map(|row| row.get("id")?.as_str().map(str::to_owned))
            .collect()
    }

    /// Returns the lines of an NDJSON body.
    pub fn lines(&self) -> Vec<Value> {
        self.text
            .lines()
            .map(|text| serde_json::from_str(text).unwrap_or_default())
            .collect()
    }

    /// Returns the target of the next page, from `Link: <...>; rel="next"`.
    pub fn next_page(&self) -> Option<String> {
        let link = self.header("link");
        let target = link.strip_suffix("; rel=\"next\"")?;
        Some(target.strip_prefix('<')?.strip_suffix('>')?.to_owned())
    }

    /// Returns whether the server was too busy and a retry is safe: nothing was written, or the request has an
    /// `Idempotency-Key`.
    fn can_be_retried(&self, has_key: bool) -> bool {
        let is_busy = self.status == 503 && !self.header("retry-after").is_empty();
        let codes = ["contention", "unavailable", "projection_lagging"];
        let code = self.code();
        is_busy && (codes.contains(&code.as_str()) || has_key && code == "outcome_unknown")
    }

    /// Returns the problem's `code`, or an empty string if the response is no problem.
    pub fn code(&self) -> String {
        self.text_at("/code")
    }
}

/// Client for one server and one caller.
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
/// Time for which a request is retried, and the pause before each retry.
const REPEAT_TIMEOUT: Duration = Duration::from_secs(60);
const REPEAT_PAUSE: Duration = Duration::from_millis(50);
/// Time for which an idle connection is reused. The server closes it after 10 s and cuts off a request that is sent at
/// that moment.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

impl TestClient {
    /// Creates a client that calls as the `--dev` admin of a tenant.
    pub fn dev(base: &str, tenant: Uuid) -> Self {
        Self::new(base).with("x-tenant-id", &tenant.to_string())
    }

    /// Creates a client without credentials.
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

    /// Returns a client that adds a header to every request.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.retain(|(text, _)| text != name);
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// Returns a client with a bearer token.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// Returns a client with this response timeout.
    #[must_use]
    pub fn with_timeout(&self, limit: Duration) -> Self {
        Self {
            limit: Some(limit),
            ..self.clone()
        }
    }

    /// Returns a client that retries as the contract says: on a 503 with `Retry-After`, if nothing was written or the
    /// request has an `Idempotency-Key`. On a busy machine many commands on one resource reach their deadline and get
    /// this response.
    #[must_use]
    pub fn repeating(&self) -> Self {
        Self {
            repeats: true,
            ..self.clone()
        }
    }

    /// Returns a client for the setup of a test. Each of its commands has a new `Idempotency-Key` and is retried, so
    /// that a database slower than a command's deadline does not fail tests of other features.
    #[must_use]
    pub fn for_setup(&self) -> Self {
        Self {
            repeats: true,
            keys: true,
            ..self.clone()
        }
    }

    /// Returns the same client for another server.
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

    /// Opens a stream of server-sent events.
    pub async fn listen(&self, path: &str) -> Result<SseReader> {
        let request = self.request(Method::GET, path);
        Ok(SseReader::new(
            request.header("accept", "text/event-stream").send().await?,
        ))
    }

    /// Sends these bytes unchanged.
    pub async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<TestResponse> {
        let json: &[&str] = match body.as_slice() {
            [] => &[],
            [_, ..] => &["application/json"],
        };
        self.send_as(json, method, path, body).await
    }

    /// Sends bytes with the given content headers.
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
        let response = answer(said.body(body), &format!("{method} {path}")).await?;
        described::check(method, path, &response);
        Ok(response)
    }

    /// Sends a POST without `Content-Length`.
    pub async fn post_chunked(&self, path: &str, body: Vec<u8>) -> Result<TestResponse> {
        let chunks: Vec<_> = body.chunks(64 * 1024).map(<[u8]>::to_vec).collect();
        let chunks = futures_util::stream::iter(chunks.into_iter().map(std::io::Result::Ok));
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", "application/json");
        let request = request.body(reqwest::Body::wrap_stream(chunks));
        let response = answer(request, &format!("POST {path}")).await?;
        described::check(&Method::POST, path, &response);
        Ok(response)
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Result<TestResponse> {
        self.send(Method::GET, path, Vec::new()).await
    }

    /// Sends a POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Result<TestResponse> {
        self.send(Method::POST, path, serde_json::to_vec(body)?)
            .await
    }

    /// Sends a PATCH with a JSON body.
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
