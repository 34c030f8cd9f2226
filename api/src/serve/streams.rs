//! Write timeout of an HTTP/2 stream: a stream is reset if its client does not read the response for too long. The
//! other streams of the connection continue: they may belong to other callers behind one proxy.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

use super::patience::WriteBudget;

tokio::task_local! {
    /// Clock of the stream that the running task serves.
    static CLOCK: StreamClock;
}

/// Write budget of a stream's response, shared by all clones.
#[derive(Debug, Clone)]
pub(super) struct StreamClock(Arc<Mutex<WriteBudget>>);

impl StreamClock {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(WriteBudget::new())))
    }

    /// Returns the clock of the stream that is being served; `None` on HTTP/1, where the socket has a timeout.
    pub(super) fn current() -> Option<Self> {
        CLOCK.try_with(Clone::clone).ok()
    }

    /// Starts the wait: a part was handed over, and waits for the client until the next part is requested.
    pub(super) fn gave(&self) {
        self.patience().wait(Instant::now());
    }

    /// Ends the wait: the next part is requested, so the client has room for the previous one, of `bytes` bytes.
    pub(super) fn took(&self, bytes: usize) {
        self.patience().took(bytes, Instant::now());
    }

    /// Waits until the client has not read the response for too long.
    async fn ran_out(&self) {
        loop {
            let look_again = self.patience().look_again(Instant::now());
            match look_again {
                Some(at) => tokio::time::sleep_until(at).await,
                None => return,
            }
        }
    }

    fn patience(&self) -> MutexGuard<'_, WriteBudget> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Executor of the streams of HTTP/2 connections, each with a clock. A stream whose task ends before its response is
/// reset by the HTTP/2 implementation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        TokioExecutor::new().execute(until_it_stalls(stream));
    }
}

async fn until_it_stalls(stream: impl Future<Output = ()>) {
    let clock = StreamClock::new();
    let mut served = pin!(CLOCK.scope(clock.clone(), stream));
    tokio::select! {
        biased;
        () = &mut served => {}
        () = clock.ran_out() => {
            metrics::counter!("roentgen_stalled_answers_total", "protocol" => "stream")
                .increment(1);
            tracing::debug!(
                event = "http.write_timeout",
                "response aborted: the client stopped reading",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_that_waits_for_its_client() {
        let began = Instant::now();
        until_it_stalls(async {
            StreamClock::current().unwrap().gave();
            std::future::pending().await
        })
        .await;
        assert_eq!(began.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_goes_on_that_waits_for_its_source() {
        let stream = until_it_stalls(async {
            let clock = StreamClock::current().unwrap();
            for _ in 0..100 {
                clock.gave();
                tokio::time::sleep(Duration::from_secs(1)).await;
                clock.took(16 * 1024);
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
        });
        let began = Instant::now();
        stream.await;
        assert_eq!(began.elapsed().as_secs(), 6100);
    }
}
