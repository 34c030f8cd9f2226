//! A nats-server as a process of its own, which can be killed, and a reader that is not Roentgen's.

mod auth;
mod cluster;

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_nats::jetstream::{self, stream::Info};
use async_nats::{Client, ConnectOptions};
use serde_json::Value;
use tempfile::TempDir;

use crate::database::copy_files;
use crate::poll;

pub use auth::{CONSUMER, NatsAuth, SERVER};
pub use cluster::Cluster;
use cluster::Member;

/// The stream that Roentgen publishes to.
pub const STREAM: &str = "ROENTGEN_EVENTS";

const START: Duration = Duration::from_secs(20);

/// What a server's store held at some moment.
#[derive(Debug)]
pub struct StoreSnapshot(TempDir);

/// A server with JetStream in a directory of its own. Dropping it kills it.
#[derive(Debug)]
pub struct Nats {
    directory: TempDir,
    port: u16,
    guard: Option<NatsAuth>,
    member: Option<Member>,
    child: Option<Child>,
}

/// A message as it is in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it stands in the stream.
    pub sequence: u64,
    /// Its subject.
    pub subject: String,
    /// Its headers, by name.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

impl Message {
    /// A header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as JSON; `null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Nats {
    /// Starts one on a free port, with an empty store.
    pub async fn start() -> Result<Self> {
        Self::start_with(None, None).await
    }

    /// Starts one that lets in whom the guard knows.
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

    /// As `--nats` takes it.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts the server on its port, over what its store holds.
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

    /// SIGKILL, and waits for the process to be gone. Its store stays.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// A copy of its store. It must not run.
    pub fn snapshot_store(&self) -> Result<StoreSnapshot> {
        let kept = tempfile::tempdir()?;
        copy_files(self.directory.path(), kept.path())?;
        Ok(StoreSnapshot(kept))
    }

    /// Puts a copy back in the store's place. It must not run.
    pub fn restore_store(&mut self, kept: &StoreSnapshot) -> Result<()> {
        self.directory = tempfile::tempdir()?;
        copy_files(kept.0.path(), self.directory.path())
    }

    /// Speaks to it.
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

    /// What the stream says of itself; `None` where it is not there.
    pub async fn info(&self) -> Result<Option<Info>> {
        let jetstream = self.jetstream().await?;
        let stream = jetstream.get_stream(STREAM).await;
        Ok(stream.ok().map(|stream| stream.cached_info().clone()))
    }

    /// Every message that is in the stream, in its order.
    pub async fn messages(&self) -> Result<Vec<Message>> {
        let stream = self.jetstream().await?.get_stream(STREAM).await?;
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

    /// Waits until the stream ends at this sequence.
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

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A port of 127.0.0.1 on which nobody listens, below those that the kernel hands to clients.
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
