//! A server as a separate process, and a minimal HTTP/1.1 client: the load generator shares two cores with the server
//! that it measures.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;
use uuid::Uuid;

use crate::database::{BenchDatabase, TENANT};

const SECRET: &str = "a secret for the benchmarks only, 32 bytes and more";
const MASTER: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const START: Duration = Duration::from_secs(20);

/// Server that requires tokens.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: String,
    child: Child,
}

impl Server {
    pub(crate) async fn start(database: &BenchDatabase) -> anyhow::Result<Self> {
        Self::start_with(database, &[]).await
    }

    /// Starts a server with additional environment variables.
    pub(crate) async fn start_with(
        database: &BenchDatabase,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        Self::start_on(&database.url, settings).await
    }

    /// Starts a server on the database at this URL, of either engine.
    pub(crate) async fn start_on(url: &str, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let address = format!("127.0.0.1:{port}");
        let child = configured(Command::new(std::env::current_exe()?).arg("serve"))
            .env("ROENTGEN_DATABASE", url)
            .env("ROENTGEN_LISTEN", &address)
            .envs(settings.iter().copied())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { address, child };
        let deadline = Instant::now() + START;
        while TcpStream::connect(&server.address).await.is_err() {
            ensure!(Instant::now() < deadline, "the server does not serve");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    /// Returns a token that the server accepts.
    pub(crate) fn token(roles: &[&str]) -> anyhow::Result<String> {
        Self::token_of(TENANT, roles, None)
    }

    /// Returns a token of a caller of this tenant.
    pub(crate) fn token_of(
        tenant: Uuid,
        roles: &[&str],
        practitioner: Option<Uuid>,
    ) -> anyhow::Result<String> {
        let grant = roentgen_api::identity::TokenGrant {
            roles: roles
                .iter()
                .filter_map(|role| roentgen_api::authorization::Role::parse(role))
                .collect(),
            tenant: Some(tenant),
            practitioner,
            ttl: Duration::from_secs(24 * 3600),
        };
        let expected = roentgen_api::identity::TokenRequirements::default();
        Ok(roentgen_api::identity::mint(
            &SECRET.to_owned().into(),
            &expected,
            &grant,
        )?)
    }

    /// Returns the server's resident memory, in bytes (Linux).
    pub(crate) fn memory(&self) -> Option<u64> {
        memory(self.child.id())
    }

    /// Returns a handle that can kill the server from another task.
    pub(crate) fn killer(&self) -> Kill {
        Kill(self.child.id())
    }

    /// Returns the peak resident memory since [`Self::forget_peak`], in bytes (Linux).
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        status(self.child.id(), "VmHWM:")
    }

    /// Resets the peak memory (proc(5): `clear_refs`).
    pub(crate) fn forget_peak(&self) -> std::io::Result<()> {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")
    }
}

/// Handle that kills a server that is still a child of this process.
#[derive(Debug)]
pub(crate) struct Kill(u32);

impl Kill {
    /// Returns the server's resident memory, in bytes, or `None` if it has ended (Linux).
    pub(crate) fn memory(&self) -> Option<u64> {
        memory(self.0)
    }

    pub(crate) fn kill(&self) {
        let process = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        if let Some(process) = process {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// Returns a process's resident memory, in bytes (Linux).
pub(crate) fn memory(process: u32) -> Option<u64> {
    status(process, "VmRSS:")
}

fn status(process: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Sets the secrets of the benchmarks.
pub(crate) fn configured(command: &mut Command) -> &mut Command {
    command
        .env("ROENTGEN_JWT_SECRET", SECRET)
        .env("ROENTGEN_MASTER_KEY", MASTER)
        .env("ROENTGEN_ANY_AUDIENCE", "true")
        .env("ROENTGEN_OPEN_METRICS", "true")
        .env("ROENTGEN_LOG", "info")
        .stdout(Stdio::null())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connection that sends one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    head: String,
}

/// Response.
#[derive(Debug)]
pub(crate) struct BenchResponse {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &str, token: &str) -> anyhow::Result<Self> {
        Self::open_from(Ipv4Addr::LOCALHOST, address, Some(token)).await
    }

    /// Connects from this loopback address, without a token if none is given.
    pub(crate) async fn open_from(
        from: Ipv4Addr,
        address: &str,
        token: Option<&str>,
    ) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
        let stream = socket.connect(address.parse()?).await?;
        stream.set_nodelay(true)?;
        let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n"));
        let head = format!("host: bench\r\n{}", bearer.unwrap_or_default());
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
            head,
        })
    }

    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<BenchResponse> {
        self.send("GET", path, "").await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> anyhow::Result<BenchResponse> {
        self.send("POST", path, body).await
    }

    /// Sends a request, with its body as JSON if any.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> anyhow::Result<BenchResponse> {
        let head = &self.head;
        let length = body.len();
        let request = if body.is_empty() {
            format!("{method} {path} HTTP/1.1\r\n{head}\r\n")
        } else {
            format!(
                "{method} {path} HTTP/1.1\r\n{head}content-type: application/json\r\n\
                 content-length: {length}\r\n\r\n{body}"
            )
        };
        self.stream.write_all(request.as_bytes()).await?;
        self.answer().await
    }

    /// Requests server-sent events and returns the status.
    pub(crate) async fn listen(&mut self, path: &str) -> anyhow::Result<u16> {
        let head = &self.head;
        let request = format!("GET {path} HTTP/1.1\r\n{head}accept: text/event-stream\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        self.read_some().await?;
        let begin = String::from_utf8_lossy(&self.buffer);
        Ok(begin.split(' ').nth(1).context("a status")?.parse()?)
    }

    /// Reads until the server closes the connection, and returns the number of bytes.
    pub(crate) async fn drain(mut self) -> std::io::Result<u64> {
        tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await
    }

    async fn answer(&mut self) -> anyhow::Result<BenchResponse> {
        self.buffer.clear();
        let end = loop {
            self.read_some().await?;
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8(self.buffer.get(..end).context("a head")?.to_vec())?;
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        let length: usize = header(&head, "content-length")
            .context("a length")?
            .parse()?;
        while self.buffer.len() < end + length {
            self.read_some().await?;
        }
        let body = self
            .buffer
            .get(end..end + length)
            .context("a body")?
            .to_vec();
        Ok(BenchResponse { status, head, body })
    }

    async fn read_some(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}

/// Returns a header's value from a response head, by its lower-case name.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|bytes| bytes == pattern)
}
