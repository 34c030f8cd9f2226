//! One connection, with a timeout for each stage: headers of the first and of the next request, body, pause between
//! requests, and a response that the client does not read.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::{self, Builder};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::activity::{Activity, InFlight};
use super::admission::{ConnectionPermit, Reserve};
use super::request_body::RequestBody;
use super::response_body::ResponseBody;
use super::socket::Socket;
use super::streams::Streams;

/// Timeout of a request's headers, and their maximum size in bytes (431 beyond).
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Maximum number of concurrent requests on an HTTP/2 connection.
const MAX_STREAMS: u32 = 32;
/// Part of a response that an HTTP/2 stream buffers until the client has room for it, in bytes.
const STREAM_BUFFER_BYTES: usize = 64 * 1024;
/// Flow-control windows of an HTTP/2 connection and of each of its streams, in bytes: the part of a body that a client
/// may send before the body is read. Such a body has no turn yet and does not count towards a tenant's share.
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
/// Maximum number of streams that a client may reset before they are accepted, and with which it may violate the
/// protocol. Beyond, the connection is closed.
const MAX_RESET_STREAMS: usize = 20;
const MAX_BROKEN_STREAMS: usize = 128;
/// Time of silence after which an HTTP/2 client gets a ping, and the timeout of its response.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that a client has to close an idle connection after the connection's end was announced.
const FAREWELL: Duration = Duration::from_secs(3);

type Served = auto::Connection<'static, TokioIo<Socket>, Requests, Streams>;

/// Serves a connection until it ends, is idle for too long, or has to make room.
pub(super) async fn serve(
    stream: TcpStream,
    place: ConnectionPermit,
    router: Router,
    drain: CancellationToken,
) {
    let reserve = place.reserve();
    let requests = Requests {
        router,
        activity: place.activity().clone(),
        reserve,
    };
    let served = Box::pin(connection(stream, requests));
    tokio::select! {
        ended = until_idle(served, &place, &drain) => {
            if let Err(error) = ended {
                tracing::debug!(
                    event = "http.connection_closed",
                    error = &*error,
                    "connection closed by peer",
                );
            }
        }
        () = place.made_room(), if reserve.is_some() => {}
    }
}

async fn until_idle(
    mut served: Pin<Box<Served>>,
    place: &ConnectionPermit,
    drain: &CancellationToken,
) -> Result<(), axum::BoxError> {
    let activity = place.activity();
    let mut idle = pin!(activity.ended());
    tokio::select! {
        ended = &mut served => return ended,
        () = &mut idle => {
            metrics::counter!("roentgen_idle_connections_closed_total").increment(1);
            served.as_mut().graceful_shutdown();
            return tokio::time::timeout(FAREWELL, served).await.unwrap_or(Ok(()));
        }
        () = place.made_room(), if place.reserve().is_none() => {
            metrics::counter!("roentgen_idle_connections_closed_total").increment(1);
            if !activity.is_busy() {
                return Ok(());
            }
            // A request has just arrived and is still served.
            place.finishes();
            served.as_mut().graceful_shutdown();
        }
        () = drain.cancelled() => served.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        ended = &mut served => ended,
        () = &mut idle => Ok(()),
    }
}

fn connection(stream: TcpStream, requests: Requests) -> Served {
    let mut builder = Builder::new(Streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .keep_alive(requests.reserve.is_none())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_BROKEN_STREAMS)
        .max_send_buf_size(STREAM_BUFFER_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .max_header_list_size(MAX_HEADER_BYTES as u32);
    let socket = TokioIo::new(Socket::new(stream));
    builder.serve_connection(socket, requests).into_owned()
}

/// Service for the requests of one connection.
#[derive(Debug, Clone)]
struct Requests {
    router: Router,
    activity: Activity,
    reserve: Option<Reserve>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = self.activity.request();
        let mut request = request.map(|body| Body::new(RequestBody::new(body)));
        if let Some(reserve) = self.reserve {
            request.extensions_mut().insert(reserve);
        }
        Box::pin(answer(self.router.clone(), request, in_flight))
    }
}

async fn answer(
    router: Router,
    request: Request<Body>,
    in_flight: InFlight,
) -> Result<Response<ResponseBody>, Infallible> {
    let answer = router.oneshot(request).await?;
    Ok(answer.map(|body| ResponseBody::new(body, in_flight)))
}
