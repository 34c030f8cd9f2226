//! A proxy to PostgreSQL that breaks connections on request.
//!
//! It knows three things of the protocol: which connection calls `log_append`, where the client sends data on it, and
//! that a response that ends in `ReadyForQuery` (idle) means that the statement has committed.

use std::sync::Arc;
use std::sync::Mutex;

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Point at which the connection of the next append is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutPoint {
    /// The server receives nothing of the append.
    BeforeItIsDelivered,
    /// The server commits, and its response is lost.
    AfterItIsCommitted,
}

#[derive(Debug)]
struct Shared {
    next: Mutex<Option<CutPoint>>,
    cuts: watch::Sender<usize>,
    open: Semaphore,
}

/// TCP proxy. Dropping it closes all connections.
#[derive(Debug)]
pub(crate) struct PgProxy {
    port: u16,
    shared: Arc<Shared>,
    _running: JoinSet<()>,
}

const APPEND: &[u8] = b"log_append(";
const READY_AND_IDLE: &[u8] = b"Z\0\0\0\x05I";

impl PgProxy {
    /// Starts a proxy to the server of `url`.
    pub(crate) async fn to(url: &str) -> Self {
        let server: PgConnectOptions = url.parse().unwrap();
        let server = (server.get_host().to_owned(), server.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            next: Mutex::default(),
            cuts: watch::Sender::new(0),
            open: Semaphore::new(1),
        });
        let mut running = JoinSet::new();
        running.spawn(accept(listener, server, Arc::clone(&shared)));
        Self {
            port,
            shared,
            _running: running,
        }
    }

    /// Returns the URL of the same database through the proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        let (start, database) = url.rsplit_once('/').unwrap();
        let user = start
            .rsplit_once('@')
            .map_or("postgres://root", |pair| pair.0);
        format!("{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Cuts the connection of the next append; later connections wait until [`PgProxy::restore`].
    pub(crate) fn cut(&self, cut: CutPoint) {
        *self.shared.next.lock().unwrap() = Some(cut);
    }

    /// Waits until this number of connections were cut.
    pub(crate) async fn was_cut(&self, times: usize) {
        let mut cuts = self.shared.cuts.subscribe();
        cuts.wait_for(|number| *number >= times).await.unwrap();
    }

    pub(crate) fn restore(&self) {
        self.shared.open.add_permits(1);
    }
}

async fn accept(listener: TcpListener, server: (String, u16), shared: Arc<Shared>) {
    let mut wires = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(&server).await.unwrap();
        let shared = Arc::clone(&shared);
        wires.spawn(async move {
            let opened = shared.open.acquire().await.map(drop);
            if opened.is_ok() {
                // The proxied connection ends when either side closes it.
                let _ = wire(client, server, &shared).await;
            }
        });
    }
}

async fn wire(
    mut client: TcpStream,
    mut server: TcpStream,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut asked = vec![0; 64 * 1024];
    let mut answered = vec![0; 64 * 1024];
    let mut appends = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let sent = &asked[..read?];
                if sent.is_empty() {
                    return Ok(());
                }
                // The statement is prepared once by its text and called by its name afterwards.
                let cut = if appends { shared.take() } else { None };
                appends = appends || sent.windows(APPEND.len()).any(|sent| sent == APPEND);
                if cut == Some(CutPoint::AfterItIsCommitted) {
                    server.write_all(sent).await?;
                    drain_and_drop(&mut client, &mut server).await?;
                }
                match cut {
                    Some(_) => {
                        shared.cuts.send_modify(|number| *number += 1);
                        return Ok(());
                    }
                    None => server.write_all(sent).await?,
                }
            }
            read = server.read(&mut answered) => {
                let told = &answered[..read?];
                if told.is_empty() {
                    return Ok(());
                }
                client.write_all(told).await?;
            }
        }
    }
}

/// Forwards the rest of the client's data to the server, and nothing back, until the server is done.
async fn drain_and_drop(client: &mut TcpStream, server: &mut TcpStream) -> std::io::Result<()> {
    let mut rest = vec![0; 64 * 1024];
    let mut answer = Vec::new();
    while !answer.ends_with(READY_AND_IDLE) {
        tokio::select! {
            read = client.read(&mut rest) => server.write_all(&rest[..read?]).await?,
            read = server.read_buf(&mut answer) => assert!(read? > 0, "the server hung up first"),
        }
    }
    Ok(())
}

impl Shared {
    /// Takes the pending cut, if any, and blocks new connections.
    fn take(&self) -> Option<CutPoint> {
        let cut = self.next.lock().unwrap().take();
        if cut.is_some() {
            self.open.forget_permits(usize::MAX >> 4);
        }
        cut
    }
}
