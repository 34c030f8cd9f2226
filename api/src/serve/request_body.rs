//! Request body with a timeout for clients that stop sending.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

/// Maximum time in which no byte of a body arrives.
const PAUSE_LIMIT: Duration = Duration::from_secs(10);

/// Error for a body whose client stopped sending.
#[derive(Debug)]
struct BodyStalled;

impl fmt::Display for BodyStalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no byte of the body came for {PAUSE_LIMIT:?}")
    }
}

impl Error for BodyStalled {}

/// Returns whether a body could not be read because its client stopped sending.
pub(crate) fn stopped_arriving(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<BodyStalled>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Body with a timeout.
#[derive(Debug)]
pub(super) struct RequestBody {
    body: Incoming,
    /// Timer that runs while the body waits for its next frame.
    clock: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(super) const fn new(body: Incoming) -> Self {
        Self { body, clock: None }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.clock = None;
            return Poll::Ready(frame.map(|arrived| arrived.map_err(Into::into)));
        }
        let clock = self
            .clock
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(PAUSE_LIMIT)));
        let stopped = clock.as_mut().poll(context);
        stopped.map(|()| Some(Err(BodyStalled.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
