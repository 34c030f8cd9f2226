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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Connections at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 8192;
/// How long a client may take over its headers, and how long they may be (431 beyond).
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADER_BYTES: usize = 64 * 1024;
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
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&places) => accepted,
                () = stop.cancelled() => break,
            };
            let Some((stream, place)) = accepted else {
                continue;
            };
            let watched = graceful.watch(connection(stream, router.clone()));
            tasks.spawn("connection", until_it_ends(watched, place));
        }
        // Otherwise the kernel would go on taking connections that nobody answers.
        for stream in those_who_wait(self.listener) {
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                break;
            };
            let watched = graceful.watch(connection(stream, router.clone()));
            tasks.spawn("connection", until_it_ends(watched, place));
        }
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

/// Closes the port. Whom the kernel had let in by then and nobody had greeted yet would be cut off with it.
fn those_who_wait(listener: TcpListener) -> Vec<TcpStream> {
    let Ok(listener) = listener.into_std() else {
        return Vec::new();
    };
    let waiting = std::iter::from_fn(|| listener.accept().ok());
    let streams = waiting.take(MAX_CONNECTIONS).filter_map(|(stream, _peer)| {
        stream.set_nonblocking(true).ok()?;
        let _ = stream.set_nodelay(true);
        TcpStream::from_std(stream).ok()
    });
    streams.collect()
}

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
