//! The log's next events, from this node's memory or the database, so many at a time.

use std::sync::Arc;
use std::time::Duration;

use roentgen_store::engine::Engine;
use roentgen_store::error::EngineError;
use roentgen_store::log::{LogFilter, StoredEvent};
use roentgen_store::recent_events::RecentEvents;
use tokio::time::Instant;

/// Events read at once; a page of the database is bounded in bytes too.
const BATCH: u32 = 500;
/// How often the database is looked at where nothing tells of new events: the projector on the same node looks more
/// often, and tells.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// A reader of the log.
#[derive(Debug)]
pub(crate) struct LogReader {
    engine: Arc<dyn Engine>,
    tail: Arc<RecentEvents>,
    /// When the database was looked at, or memory had what comes next. Another node's events leave a gap before this
    /// node's next ones, and are read then.
    looked_at: Option<Instant>,
}

impl LogReader {
    pub(crate) fn new(engine: Arc<dyn Engine>, tail: Arc<RecentEvents>) -> Self {
        Self {
            engine,
            tail,
            looked_at: None,
        }
    }

    /// The events that follow `after`; none where the reader has come to the log's end.
    pub(crate) async fn after(&mut self, after: u64) -> Result<Vec<Arc<StoredEvent>>, EngineError> {
        if let Some(events) = self.tail.after(after, BATCH as usize) {
            self.looked_at = Some(Instant::now());
            return Ok(events);
        }
        let looked = self
            .looked_at
            .is_some_and(|instant| instant.elapsed() < POLL_INTERVAL);
        if looked && *self.tail.head().borrow() <= after {
            return Ok(Vec::new());
        }
        self.looked_at = Some(Instant::now());
        let everything = LogFilter::default();
        let page = self.engine.read_log(after, BATCH, &everything).await?;
        if let Some(last) = page.events.last() {
            self.tail.observe(last.position);
        }
        Ok(page.events.into_iter().map(Arc::new).collect())
    }

    /// Waits for something after `after`, or until it is time to look at the database.
    pub(crate) async fn wait(tail: &RecentEvents, after: u64) {
        let mut head = tail.head();
        tokio::select! {
            _ = head.wait_for(|head| *head > after) => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}
