//! Recent events in memory: what the appender wrote last, for the projector and the live feeds of this node.
//!
//! A bounded ring buffer of consecutive events. Events that the buffer does not hold are read from the database: older
//! events, and events of other nodes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::log::StoredEvent;

/// Size limit of the ring buffer, in bytes.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The ring buffer, and the highest position known to this node.
#[derive(Debug)]
pub struct RecentEvents {
    ring: Mutex<Ring>,
    head: watch::Sender<u64>,
    /// Highest position written by this node.
    own: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<StoredEvent>>,
    bytes: usize,
}

impl Default for RecentEvents {
    fn default() -> Self {
        Self {
            ring: Mutex::default(),
            head: watch::Sender::new(0),
            own: watch::Sender::new(0),
        }
    }
}

impl RecentEvents {
    /// Adds events that were just written, consecutive and in order.
    pub fn push(&self, events: Vec<StoredEvent>) {
        let Some(last) = events.last().map(|event| event.position) else {
            return;
        };
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            ring.push(event);
        }
        drop(ring);
        self.observe(last);
        self.own.send_replace(last);
    }

    /// Records a position learned from the database or another node.
    pub fn observe(&self, position: u64) {
        self.head.send_if_modified(|head| {
            let higher = position > *head;
            *head = position.max(*head);
            higher
        });
    }

    /// Returns a watch of the highest position known.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Returns a watch of the highest position written by this node; 0 before its first write.
    pub fn written_here(&self) -> watch::Receiver<u64> {
        self.own.subscribe()
    }

    /// Returns whether the ring buffer holds the event at this position.
    pub fn contains(&self, position: u64) -> bool {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = (ring.events.front(), ring.events.back());
        matches!(ends, (Some(first), Some(last)) if (first.position..=last.position).contains(&position))
    }

    /// Returns the events after `after`, at most `limit`, or `None` if the ring buffer does not hold the first of them.
    pub fn after(&self, after: u64, limit: usize) -> Option<Vec<Arc<StoredEvent>>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let first = ring.events.front()?.position;
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        if skip >= ring.events.len() {
            return None;
        }
        Some(ring.events.range(skip..).take(limit).cloned().collect())
    }
}

impl Ring {
    fn push(&mut self, event: StoredEvent) {
        if self
            .events
            .back()
            .is_some_and(|last| last.position + 1 != event.position)
        {
            self.events.clear();
            self.bytes = 0;
        }
        self.bytes += event.memory_bytes();
        self.events.push_back(Arc::new(event));
        while self.bytes > MAX_BYTES {
            let Some(oldest) = self.events.pop_front() else {
                break;
            };
            self.bytes -= oldest.memory_bytes();
        }
    }
}
