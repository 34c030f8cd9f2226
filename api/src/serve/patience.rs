//! Limits how long bytes may wait for a client that does not read them.

use std::time::Duration;

use tokio::time::Instant;

/// Maximum time in which a client reads nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Minimum read rate in bytes per second, averaged over the time in which bytes wait for the client.
const BYTES_PER_SECOND: u64 = 8 * 1024;

/// Budget of waiting time. It shrinks while bytes wait for the client, and grows with each byte that the client reads,
/// up to its limit. A client that reads nothing and a client that reads a byte now and then both exhaust it.
#[derive(Debug)]
pub(super) struct WriteBudget {
    left: Duration,
    waiting_since: Option<Instant>,
}

impl WriteBudget {
    pub(super) const fn new() -> Self {
        Self {
            left: WRITE_TIMEOUT,
            waiting_since: None,
        }
    }

    /// Starts the wait if none is running. Returns the time until which bytes may wait.
    pub(super) fn wait(&mut self, now: Instant) -> Instant {
        *self.waiting_since.get_or_insert(now) + self.left
    }

    /// Ends the wait: the client has read `bytes` bytes, and nothing waits for the client now.
    pub(super) fn took(&mut self, bytes: usize, now: Instant) {
        let Some(since) = self.waiting_since.take() else {
            return;
        };
        let used = now.saturating_duration_since(since);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = Duration::from_micros(bytes.saturating_mul(1_000_000) / BYTES_PER_SECOND);
        self.left = (self.left.saturating_sub(used) + earned).min(WRITE_TIMEOUT);
    }

    /// Returns when the budget is exhausted if the client reads nothing more; `None` if it is exhausted already.
    pub(super) fn look_again(&self, now: Instant) -> Option<Instant> {
        let ends = self.waiting_since.unwrap_or(now) + self.left;
        (ends > now || self.waiting_since.is_none()).then_some(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns for how many seconds the server waits for a client that reads `bytes` bytes every `every` seconds.
    fn waited(bytes: usize, every: u32) -> u32 {
        let begin = Instant::now();
        let mut patience = WriteBudget::new();
        let mut second = 0;
        while second < 10_000 {
            let deadline = patience.wait(begin + SECOND * second);
            second += 1;
            if deadline <= begin + SECOND * second {
                return second;
            }
            if second % every == 0 {
                patience.took(bytes, begin + SECOND * second);
            }
        }
        second
    }

    #[test]
    fn a_client_that_takes_nothing_is_waited_for_twenty_seconds() {
        assert_eq!(waited(0, 20_000), 20);
    }

    #[test]
    fn a_client_that_takes_a_byte_now_and_then_is_not_waited_for_much_longer() {
        assert_eq!(waited(1, 1), 21);
    }

    #[test]
    fn a_slow_client_is_waited_for_as_long_as_it_takes() {
        assert_eq!(waited(8 * 1024 * 16, 16), 10_000);
    }

    #[test]
    fn a_client_that_was_quick_earns_no_more_than_the_limit() {
        let now = Instant::now();
        let mut patience = WriteBudget::new();
        patience.wait(now);
        patience.took(1 << 30, now + SECOND);
        assert_eq!(patience.wait(now), now + WRITE_TIMEOUT);
    }
}
