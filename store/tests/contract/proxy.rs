//! A wire to PostgreSQL that breaks when it is told to.
//!
//! It knows three things of the protocol: which connection calls `log_append`, where the client sends something on it,
//! and that an answer which ends in `ReadyForQuery`, idle, says that the statement has committed.

use std::sync::Arc;
use std::sync::Mutex;

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Where the next append's connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutPoint {
    /// Nothing of it reaches the server.
    BeforeItIsDelivered,
    /// The server commits, and its answer reaches nobody.
    AfterItIsCommitted,
}

#[derive(Debug)]
struct Shared {
    next: Mutex<Option<CutPoint>>,
    cuts: watch::Sender<usize>,
    open: Semaphore,
}

/// The wire. Dropped, it is cut for good.
#[derive(Debug)]
pub(crate) struct PgProxy {
    port: u16,
    shared: Arc<Shared>,
    _running: JoinSet<()>,
}

const APPEND: &[u8] = b"log_append(";
const READY_AND_IDLE: &[u8] = b"Z\0\0\0\x05I";

impl PgProxy {
    /// To the server that `url` names.
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

    /// The same database, by this wire.
    pub(crate) fn url(&self, url: &str) -> String {
        let (start, database) = url.rsplit_once('/').unwrap();
        let user = start
            .rsplit_once('@')
            .map_or("postgres://root", |pair| pair.0);
        format!("{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Cuts the next append's connection; who connects after that waits until [`PgProxy::restore`].
    pub(crate) fn cut(&self, cut: CutPoint) {
        *self.shared.next.lock().unwrap() = Some(cut);
    }

    /// Waits until so many connections were cut.
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
                // Whoever hangs up first, the wire ends.
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
                // Prepared once by its text, called by its name from then on.
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

/// Lets the server have the rest of what the client sends, and the client nothing, until the server is done.
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
    /// The cut that is due, if any; the door is shut with it.
    fn take(&self) -> Option<CutPoint> {
        let cut = self.next.lock().unwrap().take();
        if cut.is_some() {
            self.open.forget_permits(usize::MAX >> 4);
        }
        cut
    }
}
