//! Accepts connections and shuts down: readiness fails, new connections are no longer accepted, requests in flight are
//! finished, then the current batch. A second signal ends the process immediately.

mod activity;
mod admission;
mod connection;
mod descriptors;
mod patience;
mod request_body;
mod response_body;
mod socket;
mod streams;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use roentgen_store::lifecycle::BackgroundTasks;
#[cfg(target_os = "linux")]
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use admission::{Admission, ConnectionPermit};
pub(crate) use admission::{Limits, Reserve};
pub(crate) use descriptors::connections_that_fit;
pub(crate) use request_body::stopped_arriving;

/// Time without a new connection after which accepting ends at shutdown.
const ACCEPT_QUIET_PERIOD: Duration = Duration::from_millis(100);
/// Timeout for requests in flight at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for which open connections are still served at shutdown. Each response announces the end of its connection, so
/// that no client sends a request into a connection that is being closed. Longer than a busy client leaves a connection
/// idle.
const KEEP_ALIVE_GRACE: Duration = Duration::from_secs(3);
/// Interval between checks for open connections at shutdown.
const DRAIN_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Pause after a failed accept: the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Number of connections that the kernel queues for accepting, if `net.core.somaxconn` allows as many. A client beyond
/// retries after 1 s; the last client in a full queue waits for less than 100 ms.
const BACKLOG: u32 = 1024;

/// Bound port.
#[derive(Debug)]
pub(crate) struct HttpListener {
    listener: TcpListener,
    admission: Admission,
    /// Actual local address.
    pub(crate) address: SocketAddr,
}

impl HttpListener {
    pub(crate) async fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let admission = Admission::new(limits);
        Ok(Self {
            listener,
            admission,
            address,
        })
    }

    /// Serves until `stop`, then finishes the requests in flight.
    pub(crate) async fn serve(
        self,
        router: Router,
        stop: CancellationToken,
        tasks: BackgroundTasks,
    ) {
        let drain = CancellationToken::new();
        let serve = |(stream, place)| {
            let served = connection::serve(stream, place, router.clone(), drain.clone());
            tasks.spawn("connection", served);
        };
        loop {
            tokio::select! {
                accepted = self.accept() => accepted.into_iter().for_each(&serve),
                () = stop.cancelled() => break,
            }
        }
        block_new_connections(&self.listener);
        let last_ones = async {
            while let Ok(accepted) = tokio::time::timeout(ACCEPT_QUIET_PERIOD, self.accept()).await
            {
                accepted.into_iter().for_each(&serve);
            }
        };
        let _ = tokio::time::timeout(KEEP_ALIVE_GRACE, last_ones).await;
        // Otherwise the kernel would continue to accept connections that are never served.
        drop(self.listener);
        let admission = self.admission;
        let _ = tokio::time::timeout(KEEP_ALIVE_GRACE, all_ended(&admission)).await;
        drain.cancel();
        if tokio::time::timeout(DRAIN_TIMEOUT, all_ended(&admission))
            .await
            .is_err()
        {
            tracing::warn!(
                event = "server.drain_timeout",
                "in-flight requests aborted at shutdown",
            );
        }
    }

    /// Accepts the next connection, even if there is no place for it: a connection in the kernel's queue cannot be
    /// rejected, and an operator's probe would wait behind it.
    async fn accept(&self) -> Option<(TcpStream, ConnectionPermit)> {
        match self.listener.accept().await {
            Ok((stream, peer)) => {
                socket::prepare(&stream);
                Some((stream, self.admission.admit(peer.ip()).await))
            }
            Err(error) => {
                tracing::warn!(event = "http.accept_failed", %error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // The port can be bound again as soon as its server has ended.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Blocks new connections, while connections in the kernel's queue can still be accepted: closing the port would reset
/// them. The filter drops the first packet of a connection (the flag SYN, RFC 9293, section 3.1); its sender retries
/// and finds the port closed.
#[cfg(target_os = "linux")]
fn block_new_connections(listener: &TcpListener) {
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
        tracing::debug!(
            event = "server.socket_filter_failed",
            %error,
            "cannot block new connections before closing the port",
        );
    }
}

#[cfg(not(target_os = "linux"))]
fn block_new_connections(_: &TcpListener) {}

/// Waits until no connection is open.
async fn all_ended(admission: &Admission) {
    while admission.open() > 0 {
        tokio::time::sleep(DRAIN_POLL_INTERVAL).await;
    }
}

/// Waits for SIGTERM or SIGINT. The caller waits again for a second signal, which ends the process immediately.
pub(crate) async fn shutdown_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
