//! TCP proxy that can cut, delay or blackhole connections. It does not parse the data.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Network condition of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkCondition {
    /// Data passes in both directions with this delay.
    Latency(Duration),
    /// Connections are accepted and no data passes.
    Blackhole,
}

#[derive(Debug)]
struct Shared {
    target: String,
    weather: watch::Sender<NetworkCondition>,
    fates: watch::Sender<ConnectionFate>,
}

/// What happens to existing connections when a condition changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionFate {
    Cut,
    Stranded,
}

/// TCP proxy. Dropping it closes all connections.
#[derive(Debug)]
pub struct TcpProxy {
    port: u16,
    shared: Arc<Shared>,
    _running: JoinSet<()>,
}

impl TcpProxy {
    /// Starts a proxy to the server in a URL such as `postgres://root@127.0.0.1:5432/postgres`.
    pub async fn to(url: &str) -> Result<Self> {
        let (_, place) = place(url)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            target: place.to_owned(),
            weather: watch::Sender::new(NetworkCondition::Latency(Duration::ZERO)),
            fates: watch::Sender::new(ConnectionFate::Cut),
        });
        let mut running = JoinSet::new();
        running.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            port,
            shared,
            _running: running,
        })
    }

    /// Returns the same URL with the proxy's address.
    pub fn url(&self, url: &str) -> Result<String> {
        let (before, place) = place(url)?;
        let after = url.get(before.len() + place.len()..).unwrap_or_default();
        Ok(format!("{before}127.0.0.1:{}{after}", self.port))
    }

    /// Sets the condition from now on, also for existing connections.
    pub fn set(&self, weather: NetworkCondition) {
        self.shared.weather.send_replace(weather);
    }

    /// Cuts every connection; later connections pass.
    pub fn cut(&self) {
        self.shared.fates.send_replace(ConnectionFate::Cut);
    }

    /// Stalls existing connections without closing them; later connections pass.
    pub fn stall_existing(&self) {
        self.shared.fates.send_replace(ConnectionFate::Stranded);
    }
}

/// Splits a URL into the part before host and port, and host and port.
fn place(url: &str) -> Result<(&str, &str)> {
    let scheme = url.find("://").context("no URL")? + 3;
    let rest = url.get(scheme..).unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or_default();
    let host = authority.rfind('@').map_or(0, |at| at + 1);
    let place = authority.get(host..).unwrap_or_default();
    Ok((url.get(..scheme + host).unwrap_or_default(), place))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut wires = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        wires.spawn(async move {
            let mut fates = shared.fates.subscribe();
            let mut wire = std::pin::pin!(wire(client, &shared));
            tokio::select! {
                // The proxied connection ends when either side closes it.
                _ = &mut wire => {}
                _ = fates.changed() => {
                    while *fates.borrow() == ConnectionFate::Stranded && fates.changed().await.is_ok() {}
                }
            }
        });
        while wires.try_join_next().is_some() {}
    }
}

async fn wire(client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let server = TcpStream::connect(&shared.target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        ended = pump(from_client, to_server, shared.weather.subscribe()) => ended,
        ended = pump(from_server, to_client, shared.weather.subscribe()) => ended,
    }
}

/// Copies data with a delay; data that arrives during the delay is queued with the same delay.
async fn pump(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    weather: watch::Receiver<NetworkCondition>,
) -> std::io::Result<()> {
    let (given, on_its_way) = mpsc::unbounded_channel();
    // The end of the stream is delayed like the data.
    tokio::try_join!(
        read_chunks(from, given),
        write_chunks(to, on_its_way, weather)
    )
    .map(drop)
}

type Chunk = (Instant, Vec<u8>);

async fn read_chunks(
    mut from: OwnedReadHalf,
    given: mpsc::UnboundedSender<Chunk>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut bytes).await?;
        let chunk = bytes.get(..read).unwrap_or_default();
        if chunk.is_empty() || given.send((Instant::now(), chunk.to_vec())).is_err() {
            return Ok(());
        }
    }
}

async fn write_chunks(
    mut to: OwnedWriteHalf,
    mut on_its_way: mpsc::UnboundedReceiver<Chunk>,
    mut weather: watch::Receiver<NetworkCondition>,
) -> std::io::Result<()> {
    while let Some((since, chunk)) = on_its_way.recv().await {
        loop {
            let now = *weather.borrow_and_update();
            match now {
                NetworkCondition::Latency(late) if since.elapsed() >= late => break,
                NetworkCondition::Latency(late) => tokio::select! {
                    () = tokio::time::sleep_until(since + late) => {}
                    _ = weather.changed() => {}
                },
                NetworkCondition::Blackhole => {
                    let _ = weather.changed().await;
                }
            }
        }
        to.write_all(&chunk).await?;
    }
    Ok(())
}
