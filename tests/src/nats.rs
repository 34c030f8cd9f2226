//! A nats-server as a separate process that can be killed, and an independent reader of its stream.

mod auth;
mod cluster;

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::{self, ErrorCode, stream::Info};
use async_nats::{Client, ConnectOptions};
use serde_json::Value;
use tempfile::TempDir;

use crate::database::copy_files;
use crate::poll;

pub use auth::{CONSUMER, NatsAuth, SERVER};
pub use cluster::Cluster;
use cluster::Member;

/// Name of the stream that Roentgen publishes to.
pub const STREAM: &str = "ROENTGEN_EVENTS";

const START: Duration = Duration::from_secs(20);

/// Copy of a server's store.
#[derive(Debug)]
pub struct StoreSnapshot(TempDir);

/// nats-server with JetStream in a temporary directory. Dropping it kills it.
#[derive(Debug)]
pub struct Nats {
    directory: TempDir,
    port: u16,
    guard: Option<NatsAuth>,
    member: Option<Member>,
    child: Option<Child>,
}

/// Message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Sequence number in the stream.
    pub sequence: u64,
    /// Subject.
    pub subject: String,
    /// Headers by name.
    pub headers: BTreeMap<String, String>,
    /// Body as text.
    pub body: String,
}

impl Message {
    /// Returns a header, or an empty string if it does not exist.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Returns the body as JSON, or `null` if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Nats {
    /// Starts a server on a free port, with an empty store.
    pub async fn start() -> Result<Self> {
        Self::start_with(None, None).await
    }

    /// Starts a server that requires the given authentication.
    pub async fn start_guarded(guard: NatsAuth) -> Result<Self> {
        Self::start_with(Some(guard), None).await
    }

    async fn start_with(guard: Option<NatsAuth>, member: Option<Member>) -> Result<Self> {
        let mut nats = Self {
            directory: tempfile::tempdir()?,
            port: free_port()?,
            guard,
            member,
            child: None,
        };
        nats.restart().await?;
        Ok(nats)
    }

    /// Returns the URL for `--nats`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts the server again on its port, with its existing store.
    pub async fn restart(&mut self) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("nats.log"))?;
        let mut command = Command::new("nats-server");
        command
            .args(["--addr", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--jetstream", "--store_dir"])
            .arg(self.directory.path())
            .args(self.guard.iter().flat_map(NatsAuth::arguments))
            .envs(self.guard.iter().flat_map(NatsAuth::environment))
            .args(self.member.iter().flat_map(Member::arguments))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log));
        self.child = Some(
            command
                .spawn()
                .context("the tests need nats-server in PATH")?,
        );
        let asked = async || self.connect().await.map(drop);
        let up = poll::wait_until("nats-server", START, asked, Result::is_ok).await;
        if up.is_err() {
            bail!(
                "nats-server does not answer: {}",
                std::fs::read_to_string(self.directory.path().join("nats.log"))?
            );
        }
        Ok(())
    }

    /// Sends SIGKILL and waits for the process to end. The store remains.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Copies the store. The server must not be running.
    pub fn snapshot_store(&self) -> Result<StoreSnapshot> {
        let kept = tempfile::tempdir()?;
        copy_files(self.directory.path(), kept.path())?;
        Ok(StoreSnapshot(kept))
    }

    /// Replaces the store with a copy. The server must not be running.
    pub fn restore_store(&mut self, kept: &StoreSnapshot) -> Result<()> {
        self.directory = tempfile::tempdir()?;
        copy_files(kept.0.path(), self.directory.path())
    }

    /// Connects to the server.
    pub async fn jetstream(&self) -> Result<jetstream::Context> {
        Ok(jetstream::new(self.connect().await?))
    }

    async fn connect(&self) -> Result<Client> {
        let options = match &self.guard {
            None => ConnectOptions::new(),
            Some(guard) => guard.connect_options()?,
        };
        Ok(options.connect(self.url()).await?)
    }

    /// Returns the stream's info, or `None` if the stream does not exist.
    pub async fn info(&self) -> Result<Option<Info>> {
        let jetstream = self.jetstream().await?;
        let stream = jetstream.get_stream(STREAM).await;
        Ok(stream.ok().map(|stream| stream.cached_info().clone()))
    }

    /// Returns all messages of the stream, in order. A server of a cluster that has just lost its leader says so first.
    pub async fn messages(&self) -> Result<Vec<Message>> {
        let jetstream = self.jetstream().await?;
        let asked = || jetstream.get_stream(STREAM);
        let has_leader = |answer: &std::result::Result<_, GetStreamError>| {
            !answer.as_ref().is_err_and(is_without_leader)
        };
        let stream = poll::wait_until("the stream", START, asked, has_leader).await??;
        let state = stream.cached_info().state.clone();
        let mut messages = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            let raw = stream.get_raw_message(sequence).await?;
            let headers = raw.headers.iter();
            let headers = headers.filter_map(|(name, values)| {
                Some((name.to_string(), values.first()?.as_str().to_owned()))
            });
            messages.push(Message {
                sequence,
                subject: raw.subject.to_string(),
                headers: headers.collect(),
                body: String::from_utf8(raw.payload.to_vec())?,
            });
        }
        Ok(messages)
    }

    /// Waits until the stream's last sequence is this one.
    pub async fn holds(&self, sequence: u64, limit: Duration) -> Result<()> {
        let asked = async || match self.info().await {
            Ok(Some(info)) => info.state.last_sequence,
            Ok(None) | Err(_) => 0,
        };
        let reached = |number: &u64| *number >= sequence;
        poll::wait_until("the stream's last sequence", limit, asked, reached).await?;
        Ok(())
    }
}

/// Returns whether the cluster elects a leader, and the request can be repeated.
fn is_without_leader(error: &GetStreamError) -> bool {
    match error.kind() {
        GetStreamErrorKind::JetStream(error) => {
            error.error_code() == ErrorCode::CLUSTER_NOT_AVAILABLE
        }
        GetStreamErrorKind::EmptyName
        | GetStreamErrorKind::Request
        | GetStreamErrorKind::InvalidStreamName => false,
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Returns an unused port of 127.0.0.1 below the range of ephemeral ports.
pub(crate) fn free_port() -> Result<u16> {
    for _ in 0..50 {
        let (_, random) = roentgen_store::clock::fresh_id().as_u64_pair();
        let port = 20_000 + u16::try_from(random % 12_000)?;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("found no free port")
}
