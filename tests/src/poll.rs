//! Waiting for a condition with a timeout; the error contains the last observed value.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(10);

/// Polls until `done` returns true, at most for `limit`.
pub async fn wait_until<T: Debug, F: Future<Output = T>>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> F,
    done: impl Fn(&T) -> bool,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let seen = ask().await;
        if done(&seen) {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {limit:?}; last seen: {seen:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
