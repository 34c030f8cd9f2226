//! How long a client may leave bytes that wait for it.

use std::time::Duration;

use tokio::time::Instant;

/// How long nothing at all may be taken.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// What a client has to take in a second, in bytes, on the average of the time in which bytes wait for it.
const BYTES_PER_SECOND: u64 = 8 * 1024;

/// An allowance of waiting time. It is used up while bytes wait for the client, and grows, up to its limit, with each
/// byte that the client takes. A client that takes nothing and a client that takes a byte now and then both use it up.
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

    /// Bytes wait for the client. Returns the time until which they may.
    pub(super) fn wait(&mut self, now: Instant) -> Instant {
        *self.waiting_since.get_or_insert(now) + self.left
    }

    /// The client took so many bytes, and nothing waits for it now.
    pub(super) fn took(&mut self, bytes: usize, now: Instant) {
        let Some(since) = self.waiting_since.take() else {
            return;
        };
        let used = now.saturating_duration_since(since);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = Duration::from_micros(bytes.saturating_mul(1_000_000) / BYTES_PER_SECOND);
        self.left = (self.left.saturating_sub(used) + earned).min(WRITE_TIMEOUT);
    }

    /// When it ends if nothing is taken from now on; `None` if it has ended.
    pub(super) fn look_again(&self, now: Instant) -> Option<Instant> {
        let ends = self.waiting_since.unwrap_or(now) + self.left;
        (ends > now || self.waiting_since.is_none()).then_some(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many seconds a client is waited for that takes `bytes` every `every` seconds.
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
