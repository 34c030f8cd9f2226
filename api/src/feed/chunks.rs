//! Body of a page in chunks, each released once it is sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Capacity of a chunk in bytes. The first chunk grows up to it; a very long last line exceeds it.
const CHUNK_BYTES: usize = 256 * 1024;
/// Fill level in bytes from which a chunk is full. The rest is room for the last line, enough for most lines.
const FULL_FROM: usize = CHUNK_BYTES - 16 * 1024;

/// Chunks of a page.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    full: VecDeque<Bytes>,
    /// Chunk being filled.
    filling: Vec<u8>,
}

impl Chunks {
    /// Returns the buffer for the next line.
    pub(super) fn line(&mut self) -> &mut Vec<u8> {
        if self.filling.len() >= FULL_FROM {
            let next = Vec::with_capacity(CHUNK_BYTES);
            let full = std::mem::replace(&mut self.filling, next);
            self.full.push_back(full.into());
        }
        &mut self.filling
    }

    /// Returns the complete body.
    pub(super) fn finished(mut self) -> axum::body::Body {
        if !self.filling.is_empty() {
            let last = std::mem::take(&mut self.filling);
            self.full.push_back(last.into());
        }
        axum::body::Body::new(self)
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.full.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.full.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let bytes: usize = self.full.iter().map(Bytes::len).sum();
        SizeHint::with_exact(bytes as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_of_many_chunks_is_whole_and_knows_its_size() {
        let mut chunks = Chunks::default();
        let mut whole = Vec::new();
        for number in 0..100 {
            let line = format!("{number}{}\n", "x".repeat(10_000));
            chunks.line().extend_from_slice(line.as_bytes());
            whole.extend_from_slice(line.as_bytes());
            let memory = chunks.filling.capacity();
            assert!(chunks.full.is_empty() || memory == CHUNK_BYTES, "{memory}");
        }
        assert!(chunks.full.len() >= 3, "in chunks");
        let body = chunks.finished();
        assert_eq!(body.size_hint().exact(), Some(whole.len() as u64));
        let sent = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        assert_eq!(sent, whole);
    }

    #[test]
    fn a_page_without_events_has_ended() {
        let body = Chunks::default().finished();
        assert_eq!(
            (body.size_hint().exact(), body.is_end_stream()),
            (Some(0), true)
        );
    }
}
