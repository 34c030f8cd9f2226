//! The flooding tenant: callers that send the next request as soon as one is answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::fairness::FLOODS_FROM;
use crate::http_client::{BenchResponse, Connection, header};

/// Pause of a caller whose connection was not accepted.
const PAUSE: Duration = Duration::from_millis(10);

/// Request of a caller.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// A request whose response is read to its end.
    Once {
        method: &'static str,
        path: String,
        body: Arc<str>,
    },
    /// Server-sent events, read as they arrive.
    Listen { path: String },
}

impl Asked {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::with("GET", path, "")
    }

    pub(crate) fn with(
        method: &'static str,
        path: impl Into<String>,
        body: impl Into<Arc<str>>,
    ) -> Self {
        Self::Once {
            method,
            path: path.into(),
            body: body.into(),
        }
    }
}

/// Caller: returns its next request, given the last response, or `None` if there was none.
pub(crate) type Caller = Box<dyn FnMut(Option<&BenchResponse>) -> Asked + Send>;

/// Number of responses by kind.
pub(crate) type Answers = BTreeMap<String, u64>;

/// Flood. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Flood {
    callers: JoinSet<()>,
    answers: Arc<Mutex<Answers>>,
}

impl Flood {
    /// Starts the callers, each on a separate connection.
    pub(crate) fn start(address: &str, token: &str, callers: Vec<Caller>) -> Self {
        let answers: Arc<Mutex<Answers>> = Arc::default();
        let mut running = JoinSet::new();
        for next in callers {
            let asking = Asking {
                address: address.to_owned(),
                token: token.to_owned(),
                connection: None,
                answers: Arc::clone(&answers),
            };
            running.spawn(asking.run(next));
        }
        Self {
            callers: running,
            answers,
        }
    }

    /// Ends the flood during its current requests and returns its responses.
    pub(crate) fn stop(mut self) -> Answers {
        self.callers.abort_all();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *answers)
    }
}

struct Asking {
    address: String,
    token: String,
    connection: Option<Connection>,
    answers: Arc<Mutex<Answers>>,
}

impl Asking {
    async fn run(mut self, mut next: Caller) {
        let mut last = None;
        loop {
            last = match next(last.as_ref()) {
                Asked::Once { method, path, body } => self.once(method, &path, &body).await,
                Asked::Listen { path } => {
                    self.listens(&path).await;
                    None
                }
            };
        }
    }

    async fn once(&mut self, method: &str, path: &str, body: &str) -> Option<BenchResponse> {
        let sent = async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.open().await?,
            };
            let answer = connection.send(method, path, body).await?;
            anyhow::Ok((connection, answer))
        };
        match sent.await {
            Ok((connection, answer)) => {
                self.count(answer.status.to_string());
                let is_last = header(&answer.head, "connection") == Some("close");
                self.connection = (!is_last).then_some(connection);
                Some(answer)
            }
            Err(_) => {
                self.count("no answer".to_owned());
                sleep(PAUSE).await;
                None
            }
        }
    }

    async fn listens(&self, path: &str) {
        let listened = async {
            let mut connection = self.open().await?;
            let status = connection.listen(path).await?;
            self.count(format!("{status} (events)"));
            connection.drain().await?;
            anyhow::Ok(())
        };
        if listened.await.is_err() {
            self.count("no answer".to_owned());
            sleep(PAUSE).await;
        }
    }

    async fn open(&self) -> anyhow::Result<Connection> {
        Connection::open_from(FLOODS_FROM, &self.address, Some(&self.token)).await
    }

    fn count(&self, what: String) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry(what).or_default() += 1;
    }
}
