//! Response body in parts, so that the server waits for an HTTP/2 client part by part.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::activity::InFlight;
use super::streams::StreamClock;

/// Maximum size of a part in bytes: the smallest frame size limit of HTTP/2 (RFC 9113, section 4.2).
const PART_BYTES: usize = 16 * 1024;

/// Response body; its request is in flight until the body is dropped.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: axum::body::Body,
    paced: Option<PacedBody>,
    _in_flight: InFlight,
}

/// State of the parts of an HTTP/2 response.
#[derive(Debug)]
struct PacedBody {
    clock: StreamClock,
    /// Bytes that were not handed over yet.
    rest: Bytes,
    /// Size of the last part that was handed over, in bytes.
    handed_over: usize,
}

impl ResponseBody {
    pub(super) fn new(body: axum::body::Body, in_flight: InFlight) -> Self {
        let paced = StreamClock::current().map(|clock| PacedBody {
            clock,
            rest: Bytes::new(),
            handed_over: 0,
        });
        Self {
            body,
            paced,
            _in_flight: in_flight,
        }
    }

    fn rest(&self) -> usize {
        self.paced.as_ref().map_or(0, |paced| paced.rest.len())
    }
}

impl PacedBody {
    /// Returns the next part of the available bytes. The last byte is a part of its own: the HTTP/2 implementation
    /// takes a whole part as soon as the client has room for one byte of it, and only a following part shows that there
    /// was room for all bytes.
    fn next_part(&mut self) -> Bytes {
        let length = match self.rest.len() {
            0 | 1 => self.rest.len(),
            more => (more - 1).min(PART_BYTES),
        };
        self.handed_over = length;
        self.clock.gave();
        self.rest.split_to(length)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(paced) = &mut this.paced else {
            return Pin::new(&mut this.body).poll_frame(context);
        };
        paced.clock.took(std::mem::take(&mut paced.handed_over));
        if paced.rest.is_empty() {
            let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(context));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => paced.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(paced.next_part()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest() == 0 && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        let rest = self.rest() as u64;
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_goes_by_itself() {
        for (length, parts) in [
            (0, vec![]),
            (1, vec![1]),
            (2, vec![1, 1]),
            (
                40_000,
                vec![PART_BYTES, PART_BYTES, 40_000 - 2 * PART_BYTES - 1, 1],
            ),
        ] {
            let mut paced = PacedBody {
                clock: StreamClock::new(),
                rest: Bytes::from(vec![0; length]),
                handed_over: 0,
            };
            let mut handed_over = Vec::new();
            while !paced.rest.is_empty() {
                handed_over.push(paced.next_part().len());
            }
            assert_eq!(handed_over, parts, "of {length}");
        }
    }
}
