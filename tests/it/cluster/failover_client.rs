//! Clients of several nodes: who is not answered asks another one, with the same key.

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

/// How long one thing may be asked for again and again.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Less than `Retry-After` says: there is to be load.
const PAUSE: Duration = Duration::from_millis(50);

/// Where the nodes are. One that starts again is elsewhere.
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

/// Which silence of a node is no fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AllowedFailures {
    /// None: it is there all the time.
    None,
    /// Nobody listens any more: it ends in an orderly way.
    NobodyListens,
    /// Any: it is killed or stopped.
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

/// What clients met on their way.
#[derive(Debug, Default)]
pub(crate) struct ClientStats {
    answered: AtomicU32,
    not_now: AtomicU32,
    silent: AtomicU32,
    /// The longest that an answer took, in milliseconds.
    slowest_ms: AtomicUsize,
}

impl ClientStats {
    /// How many answers were none of "not now".
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

/// Asks whichever node answers.
#[derive(Debug, Clone)]
pub(crate) struct FailoverClient {
    client: TestClient,
    nodes: NodeAddresses,
    turn: Arc<AtomicUsize>,
    excused: AllowedFailures,
    met: Arc<ClientStats>,
}

impl FailoverClient {
    /// The `--dev` admin of the tenant, who waits this long for an answer.
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

    /// Somebody else of the same tenant.
    pub(crate) fn bearer(&self, token: &str) -> Self {
        Self {
            client: self.client.bearer(token),
            ..self.clone()
        }
    }

    /// Carries out a command once, whoever has to be asked how often. Returns the first answer that is none of "not
    /// now".
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

    /// Reads on another node than the one that was asked last, which has to show at least this much of the log.
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
            // No wait for anything: clients do not ask again at once.
            tokio::time::sleep(PAUSE).await;
        }
        bail!("{method} {path}: not within {WAIT_TIMEOUT:?}; the last answer: {last:?}")
    }

    fn note(&self, took: Duration) {
        let took = usize::try_from(took.as_millis()).unwrap_or(usize::MAX);
        self.met.slowest_ms.fetch_max(took, Ordering::Relaxed);
    }
}

/// Clients at work, until it is enough.
pub(crate) struct ClientGroup<T> {
    working: tokio::task::JoinSet<Result<T>>,
    enough: CancellationToken,
}

impl<T: Send + 'static> ClientGroup<T> {
    /// Sends everybody to work.
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

    /// Waits for everybody to finish what was begun.
    pub(crate) async fn join_all(mut self) -> Result<Vec<T>> {
        self.enough.cancel();
        let mut home = Vec::new();
        while let Some(client) = self.working.join_next().await {
            home.push(client?.context("a client")?);
        }
        Ok(home)
    }
}
