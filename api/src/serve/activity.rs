//! Whether a connection is used: how many of its requests are in flight, and since when there is none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a new connection may take until its first request has arrived with all its headers.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be open without a request in flight. HTTP/1 connections are closed earlier, by the clock
/// of the next request's headers.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// What one connection does. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    in_flight: usize,
    has_asked: bool,
    idle_from: Instant,
    idle_limit: Duration,
}

impl Activity {
    /// Of a connection that was just accepted.
    pub(crate) fn begin() -> Self {
        Self(Arc::new(Mutex::new(State {
            in_flight: 0,
            has_asked: false,
            idle_from: Instant::now(),
            idle_limit: FIRST_REQUEST_TIMEOUT,
        })))
    }

    /// A request has arrived. It is in flight until the value is dropped.
    pub(crate) fn request(&self) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        state.has_asked = true;
        drop(state);
        InFlight(self.clone())
    }

    /// Whether a request is in flight.
    pub(crate) fn is_busy(&self) -> bool {
        self.state().in_flight > 0
    }

    /// How the connection is silent; `None` if a request is in flight.
    pub(crate) fn silence(&self) -> Option<IdleRank> {
        let state = self.state();
        (state.in_flight == 0).then_some(IdleRank {
            has_asked: state.has_asked,
            since: state.idle_from,
        })
    }

    /// Waits until no request was in flight for too long.
    pub(crate) async fn ended(&self) {
        while let Some(deadline) = self.deadline() {
            tokio::time::sleep_until(deadline).await;
        }
    }

    /// When to look again; `None` if the connection has been idle for too long.
    fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        let now = Instant::now();
        if state.in_flight > 0 {
            return Some(now + IDLE_TIMEOUT);
        }
        let deadline = state.idle_from + state.idle_limit;
        (deadline > now).then_some(deadline)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a connection is silent. Whoever is least may go first: who has never asked, and who has been silent for longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IdleRank {
    /// Whether there was a request before.
    has_asked: bool,
    since: Instant,
}

/// A request in flight: from its headers to the end of its answer's body.
#[derive(Debug)]
pub(crate) struct InFlight(Activity);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.idle_from = Instant::now();
        state.idle_limit = IDLE_TIMEOUT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_first_request_ends_after_ten_seconds() {
        let activity = Activity::begin();
        let began = Instant::now();
        activity.ended().await;
        assert_eq!(began.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_request_in_flight_does_not_end() {
        let activity = Activity::begin();
        let request = activity.request();
        let long = Duration::from_secs(3600);
        assert!(
            tokio::time::timeout(long, activity.ended()).await.is_err(),
            "it ended with a request in flight"
        );
        drop(request);
        let began = Instant::now();
        activity.ended().await;
        assert_eq!(began.elapsed().as_secs(), 20);
    }
}
