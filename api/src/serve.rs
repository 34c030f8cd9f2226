//! Accepting connections, and stopping: readiness fails, nothing more is accepted, requests are finished, then the batch
//! in hand; a second signal does not wait.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use roentgen_store::lifecycle::Tasks;
#[cfg(target_os = "linux")]
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Connections at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 8192;
/// How long a client may take over its headers, and how long they may be (431 beyond).
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Nobody more is let in where nobody came for as long.
const GREETING: Duration = Duration::from_millis(100);
/// How long requests in flight may take when the process stops.
const DRAIN: Duration = Duration::from_secs(20);
/// How long connections that are open already are served as ever when the process stops. Each answer says that its
/// connection ends with it, so that no client sends into one that is just being closed. Longer than a client that is busy
/// leaves a connection alone.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// How often it is seen whether any of them is left.
const LAST_LOOK: Duration = Duration::from_millis(20);
/// The pause after a failed accept: the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound port.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    /// Where it really listens.
    pub(crate) address: SocketAddr,
}

impl Listener {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Serves until `stop`, then finishes what was begun.
    pub(crate) async fn serve(self, router: Router, stop: CancellationToken, tasks: Tasks) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let serve = |(stream, place)| {
            let watched = graceful.watch(connection(stream, router.clone()));
            tasks.spawn("connection", until_it_ends(watched, place));
        };
        loop {
            tokio::select! {
                accepted = self.accept(&places) => accepted.into_iter().for_each(&serve),
                () = stop.cancelled() => break,
            }
        }
        refuse_newcomers(&self.listener);
        let last_ones = async {
            while let Ok(accepted) = tokio::time::timeout(GREETING, self.accept(&places)).await {
                accepted.into_iter().for_each(&serve);
            }
        };
        let _ = tokio::time::timeout(LAST_ANSWERS, last_ones).await;
        // Otherwise the kernel would go on taking connections that nobody answers.
        drop(self.listener);
        last_answers(&graceful).await;
        if tokio::time::timeout(DRAIN, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("some requests were not finished in time");
        }
    }

    async fn accept(&self, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, _peer)) => {
                let _ = stream.set_nodelay(true);
                Some((stream, place))
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

async fn until_it_ends(
    connection: impl Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>>,
    place: OwnedSemaphorePermit,
) {
    if let Err(error) = connection.await {
        tracing::debug!(error = &*error, "a connection ended early");
    }
    drop(place);
}

/// From now on nobody begins a connection, and whoever has begun is let in: a port that is closed cuts off whom the kernel
/// had let in and nobody had greeted yet. The filter drops the first packet of a connection (the flag SYN, RFC 9293,
/// section 3.1), whose sender tries again and finds the port closed.
#[cfg(target_os = "linux")]
fn refuse_newcomers(listener: &TcpListener) {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const FLAGS_AT: u32 = 13;
    const SYN: u32 = 0x02;
    let filter = [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_AT),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    if let Err(error) = SockRef::from(listener).attach_filter(&filter) {
        tracing::debug!(%error, "connections may be cut off with the port");
    }
}

#[cfg(not(target_os = "linux"))]
fn refuse_newcomers(_: &TcpListener) {}

/// Waits until every connection has heard that it ends, or has been silent for long enough.
async fn last_answers(graceful: &GracefulShutdown) {
    let ended = async {
        while graceful.count() > 0 {
            tokio::time::sleep(LAST_LOOK).await;
        }
    };
    let _ = tokio::time::timeout(LAST_ANSWERS, ended).await;
}

type Connection = hyper_util::server::conn::auto::Connection<
    'static,
    TokioIo<TcpStream>,
    HyperService,
    TokioExecutor,
>;
type HyperService = TowerToHyperService<
    tower::util::MapRequest<
        Router,
        fn(http::Request<hyper::body::Incoming>) -> http::Request<Body>,
    >,
>;

fn connection(stream: TcpStream, router: Router) -> Connection {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_BYTES as u32);
    let into_body: fn(http::Request<hyper::body::Incoming>) -> http::Request<Body> =
        |request| request.map(Body::new);
    let service = TowerToHyperService::new(router.map_request(into_body));
    builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned()
}

/// Waits for SIGTERM or SIGINT; after the first, a second one ends the process at once.
pub(crate) async fn signalled() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
