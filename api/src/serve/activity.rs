//! Activity of a connection: the number of its requests in flight, and the time since which it is idle.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Timeout of a new connection until its first request has arrived with all headers.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time without a request in flight. HTTP/1 connections are closed earlier, by the header timeout of the next
/// request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Activity of one connection, shared by all clones.
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
    /// Creates the activity of a connection that was just accepted.
    pub(crate) fn begin() -> Self {
        Self(Arc::new(Mutex::new(State {
            in_flight: 0,
            has_asked: false,
            idle_from: Instant::now(),
            idle_limit: FIRST_REQUEST_TIMEOUT,
        })))
    }

    /// Counts an arrived request as in flight until the returned value is dropped.
    pub(crate) fn request(&self) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        state.has_asked = true;
        drop(state);
        InFlight(self.clone())
    }

    /// Returns whether a request is in flight.
    pub(crate) fn is_busy(&self) -> bool {
        self.state().in_flight > 0
    }

    /// Returns the idle rank; `None` if a request is in flight.
    pub(crate) fn silence(&self) -> Option<IdleRank> {
        let state = self.state();
        (state.in_flight == 0).then_some(IdleRank {
            has_asked: state.has_asked,
            since: state.idle_from,
        })
    }

    /// Waits until the connection has been idle for too long.
    pub(crate) async fn ended(&self) {
        while let Some(deadline) = self.deadline() {
            tokio::time::sleep_until(deadline).await;
        }
    }

    /// Returns the time of the next check; `None` if the connection has been idle for too long.
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

/// Order in which idle connections are closed, lowest first: connections without any request, then the longest idle
/// ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IdleRank {
    /// Whether the connection has had a request.
    has_asked: bool,
    since: Instant,
}

/// Request in flight, from its headers to the end of its response body.
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
