//! A wire to a server that can be cut, slow or dark. It knows nothing of what goes over it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What the wire does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkCondition {
    /// Everything goes through, each way this late.
    Latency(Duration),
    /// Connections are taken, and nothing goes through.
    Blackhole,
}

#[derive(Debug)]
struct Shared {
    target: String,
    weather: watch::Sender<NetworkCondition>,
    fates: watch::Sender<ConnectionFate>,
}

/// What becomes of the connections that are there when it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionFate {
    Cut,
    Stranded,
}

/// The wire. Dropped, it is cut for good.
#[derive(Debug)]
pub struct TcpProxy {
    port: u16,
    shared: Arc<Shared>,
    _running: JoinSet<()>,
}

impl TcpProxy {
    /// To the server that a URL such as `postgres://root@127.0.0.1:5432/postgres` names.
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

    /// The same URL, by this wire.
    pub fn url(&self, url: &str) -> Result<String> {
        let (before, place) = place(url)?;
        let after = url.get(before.len() + place.len()..).unwrap_or_default();
        Ok(format!("{before}127.0.0.1:{}{after}", self.port))
    }

    /// What holds from now on, for connections that are there too.
    pub fn set(&self, weather: NetworkCondition) {
        self.shared.weather.send_replace(weather);
    }

    /// Cuts every connection; who connects afterwards gets through.
    pub fn cut(&self) {
        self.shared.fates.send_replace(ConnectionFate::Cut);
    }

    /// Nothing goes over the connections that are there any more, and nobody is told; who connects afterwards gets
    /// through.
    pub fn stall_existing(&self) {
        self.shared.fates.send_replace(ConnectionFate::Stranded);
    }
}

/// What stands before host and port, and these.
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
                // Whoever hangs up first, the wire ends.
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

/// A delay line: what comes meanwhile is on its way too.
async fn pump(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    weather: watch::Receiver<NetworkCondition>,
) -> std::io::Result<()> {
    let (given, on_its_way) = mpsc::unbounded_channel();
    // The end too is heard of as late as everything.
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
