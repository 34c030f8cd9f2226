//! Reads the next events of the log in batches, from this node's recent events or from the database.

use std::sync::Arc;
use std::time::Duration;

use roentgen_store::engine::EventLog;
use roentgen_store::error::EngineError;
use roentgen_store::log::{LogFilter, StoredEvent};
use roentgen_store::recent_events::RecentEvents;
use tokio::time::Instant;

/// Maximum number of events per read. A page from the database is also limited in bytes.
const BATCH: u32 = 500;
/// Interval of database reads if no notification arrives, 250 ms. The projector on the same node reads more often, and
/// notifies the relay.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Reader of the log.
#[derive(Debug)]
pub(crate) struct LogReader {
    log: Arc<dyn EventLog>,
    tail: Arc<RecentEvents>,
    /// Time of the last read that returned events from memory or queried the database. Events of other nodes are a gap
    /// in the recent events of this node, and are read from the database.
    looked_at: Option<Instant>,
}

impl LogReader {
    pub(crate) fn new(log: Arc<dyn EventLog>, tail: Arc<RecentEvents>) -> Self {
        Self {
            log,
            tail,
            looked_at: None,
        }
    }

    /// Returns the events that follow `after`; none at the end of the log.
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
        let page = self.log.read_log(after, BATCH, &everything).await?;
        if let Some(last) = page.events.last() {
            self.tail.observe(last.position);
        }
        Ok(page.events.into_iter().map(Arc::new).collect())
    }

    /// Waits until the log has an event after `after`, or until the next database read is due.
    pub(crate) async fn wait(tail: &RecentEvents, after: u64) {
        let mut head = tail.head();
        tokio::select! {
            _ = head.wait_for(|head| *head > after) => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}
