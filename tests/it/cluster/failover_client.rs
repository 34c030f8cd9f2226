//! Clients of several nodes: an unanswered request is sent to another node with the same idempotency key.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::Method;
use roentgen_tests::{TestClient, TestResponse};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::test_app::fresh;

/// Time for which one request is retried.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between retries; shorter than `Retry-After`, to create load.
const PAUSE: Duration = Duration::from_millis(50);

/// Addresses of the nodes. A restarted node has a new address.
#[derive(Debug, Clone)]
pub(crate) struct NodeAddresses(Arc<Mutex<Vec<String>>>);

impl NodeAddresses {
    pub(crate) fn at(bases: Vec<String>) -> Self {
        Self(Arc::new(Mutex::new(bases)))
    }

    pub(crate) fn moved(&self, node: usize, base: &str) {
        self.0.lock().unwrap()[node] = base.to_owned();
    }

    pub(crate) fn base(&self, turn: usize) -> String {
        let bases = self.0.lock().unwrap();
        bases[turn % bases.len()].clone()
    }
}

/// Failures of a node that the test allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AllowedFailures {
    /// None: the node is available all the time.
    None,
    /// Refused connections: the node shuts down in an orderly way.
    NobodyListens,
    /// Any failure: the node is killed or stopped.
    Any,
}

impl AllowedFailures {
    fn silence(self, error: anyhow::Error) -> Result<()> {
        let connecting = error
            .downcast_ref::<reqwest::Error>()
            .is_some_and(reqwest::Error::is_connect);
        match self {
            Self::Any => Ok(()),
            Self::NobodyListens if connecting => Ok(()),
            Self::NobodyListens | Self::None => Err(error),
        }
    }
}

/// Statistics of the clients' requests.
#[derive(Debug, Default)]
pub(crate) struct ClientStats {
    answered: AtomicU32,
    not_now: AtomicU32,
    silent: AtomicU32,
    /// Longest response time, in milliseconds.
    slowest_ms: AtomicUsize,
}

impl ClientStats {
    /// Returns the number of responses other than 503.
    pub(crate) fn answers(&self) -> u32 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn told(&self) -> String {
        let Self {
            answered,
            not_now,
            silent,
            slowest_ms,
        } = self;
        format!(
            "{answered:?} answers, {not_now:?} times 503, {silent:?} silences, the slowest answer {slowest_ms:?} ms"
        )
    }
}

/// Client that sends each request to the next node until one answers.
#[derive(Debug, Clone)]
pub(crate) struct FailoverClient {
    client: TestClient,
    nodes: NodeAddresses,
    turn: Arc<AtomicUsize>,
    excused: AllowedFailures,
    met: Arc<ClientStats>,
}

impl FailoverClient {
    /// Creates a client that calls as the `--dev` admin of the tenant, with a response timeout.
    pub(crate) fn new(
        nodes: &NodeAddresses,
        tenant: Uuid,
        (limit, excused): (Duration, AllowedFailures),
        met: &Arc<ClientStats>,
    ) -> Self {
        Self {
            client: TestClient::dev("", tenant).with_timeout(limit),
            nodes: nodes.clone(),
            turn: Arc::default(),
            excused,
            met: Arc::clone(met),
        }
    }

    /// Returns a client for another caller of the same tenant.
    pub(crate) fn bearer(&self, token: &str) -> Self {
        Self {
            client: self.client.bearer(token),
            ..self.clone()
        }
    }

    /// Executes a command once, with as many retries as needed. Returns the first response other than 503.
    pub(crate) async fn command(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<TestResponse> {
        let client = self.client.with("idempotency-key", &fresh().to_string());
        self.retry_until_definite(&client, &method, path, body.to_string().into_bytes())
            .await
    }

    /// Reads from a node other than the one called last; the read must include the log up to this position.
    pub(crate) async fn read(&self, path: &str, position: u64) -> Result<TestResponse> {
        let client = self.client.with("min-log-position", &position.to_string());
        self.retry_until_definite(&client, &Method::GET, path, Vec::new())
            .await
    }

    async fn retry_until_definite(
        &self,
        client: &TestClient,
        method: &Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<TestResponse> {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        let mut last = None;
        while Instant::now() < deadline {
            let base = self.nodes.base(self.turn.fetch_add(1, Ordering::Relaxed));
            let asked = Instant::now();
            let answer = client
                .with_base_url(&base)
                .send(method.clone(), path, body.clone())
                .await;
            match answer {
                Ok(answer) => {
                    self.note(asked.elapsed());
                    if answer.status != 503 {
                        self.met.answered.fetch_add(1, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    ensure!(
                        answer.number("retry-after") > 0,
                        "{method} {path}: {answer:?}"
                    );
                    self.met.not_now.fetch_add(1, Ordering::Relaxed);
                    last = Some(answer);
                }
                Err(error) => {
                    self.excused.silence(error)?;
                    self.met.silent.fetch_add(1, Ordering::Relaxed);
                }
            }
            // Not a wait: clients do not retry immediately.
            tokio::time::sleep(PAUSE).await;
        }
        bail!("{method} {path}: not within {WAIT_TIMEOUT:?}; the last answer: {last:?}")
    }

    fn note(&self, took: Duration) {
        let took = usize::try_from(took.as_millis()).unwrap_or(usize::MAX);
        self.met.slowest_ms.fetch_max(took, Ordering::Relaxed);
    }
}

/// Concurrent clients that run until they are stopped.
pub(crate) struct ClientGroup<T> {
    working: tokio::task::JoinSet<Result<T>>,
    enough: CancellationToken,
}

impl<T: Send + 'static> ClientGroup<T> {
    /// Starts the clients.
    pub(crate) fn start<F>(
        clients: impl IntoIterator<Item = T>,
        work: fn(T, CancellationToken) -> F,
    ) -> Self
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let enough = CancellationToken::new();
        let mut working = tokio::task::JoinSet::new();
        for client in clients {
            working.spawn(work(client, enough.clone()));
        }
        Self { working, enough }
    }

    /// Waits until every client has finished what it started.
    pub(crate) async fn join_all(mut self) -> Result<Vec<T>> {
        self.enough.cancel();
        let mut home = Vec::new();
        while let Some(client) = self.working.join_next().await {
            home.push(client?.context("a client")?);
        }
        Ok(home)
    }
}
