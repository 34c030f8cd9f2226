//! Cooperative yielding while a long response is read or rendered, so that other tasks on the same thread do not wait
//! for whole pages.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Time between two yields. It is much longer than a yield costs, and too short for other tasks to notice, even if
/// every reader runs at the same time.
const SLICE: Duration = Duration::from_micros(500);

/// Yields to other tasks at most once per time slice of 500 µs.
#[derive(Debug)]
pub struct YieldPacer(Mutex<Instant>);

impl YieldPacer {
    /// Starts the first time slice.
    pub fn begin() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// Yields to other tasks if the time slice has passed.
    pub async fn rest(&self) {
        if self.since().elapsed() >= SLICE {
            tokio::task::yield_now().await;
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    fn since(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;

    #[tokio::test]
    async fn others_work_while_a_long_page_is_rendered() {
        const LINES: usize = 20;
        let others = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let worked = Arc::clone(&others);
        tasks.spawn(async move {
            loop {
                worked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let pace = YieldPacer::begin();
        for _ in 0..LINES {
            let line = std::time::Instant::now();
            while line.elapsed() < SLICE {}
            pace.rest().await;
        }
        let turns = others.load(Ordering::Relaxed);
        assert!(turns >= LINES - 1, "others had {turns} turns");
    }

    #[tokio::test]
    async fn short_pages_have_no_pause() {
        tokio::time::pause();
        let others = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let worked = Arc::clone(&others);
        tasks.spawn(async move { worked.fetch_add(1, Ordering::Relaxed) });
        let pace = YieldPacer::begin();
        pace.rest().await;
        assert_eq!(others.load(Ordering::Relaxed), 0);
    }
}
