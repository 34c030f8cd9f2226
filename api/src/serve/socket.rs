//! Client socket: a write fails if it waits for the client for too long.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::patience::WriteBudget;

/// Maximum number of unsent bytes in the kernel. Without a bound the kernel buffers megabytes for a slow client, and
/// the next write would wait for longer than the write budget allows.
const UNSENT_BYTES: u32 = 64 * 1024;
/// Maximum time for which sent data may stay unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Sets the options of a new connection. Failures are only logged: the connection works without the options.
pub(super) fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let options = [
        socket.set_tcp_nodelay(true),
        socket.set_tcp_notsent_lowat(UNSENT_BYTES),
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED)),
    ];
    for error in options.into_iter().filter_map(Result::err) {
        tracing::debug!(event = "http.socket_option_failed", %error, "cannot set socket option");
    }
}

/// Socket with a write timeout.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    patience: WriteBudget,
    /// Timer that runs while a write waits.
    clock: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            patience: WriteBudget::new(),
            clock: None,
        }
    }

    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(written) => {
                if self.clock.take().is_some() {
                    let bytes = *written.as_ref().unwrap_or(&0);
                    self.patience.took(bytes, Instant::now());
                }
                Poll::Ready(written)
            }
            Poll::Pending => self.wait(context),
        }
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let patience = &mut self.patience;
        let clock = self.clock.get_or_insert_with(|| {
            let deadline = patience.wait(Instant::now());
            Box::pin(tokio::time::sleep_until(deadline))
        });
        if clock.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        metrics::counter!("roentgen_stalled_answers_total", "protocol" => "connection")
            .increment(1);
        let detail = "the client does not take what is sent to it";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, detail)))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.written(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_whose_client_takes_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(place), listener.accept());
        let (stream, _) = accepted.unwrap();
        prepare(&stream);
        let more_than_the_kernel_keeps = vec![0; 64 << 20];
        let mut socket = Socket::new(stream);
        let written = socket.write_all(&more_than_the_kernel_keeps);
        let written = tokio::time::timeout(Duration::from_secs(3600), written).await;
        let failed = written.expect("the write waits for ever").unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert!(failed.to_string().contains("does not take"), "{failed}");
        drop(client);
    }
}
