//! Scans whole streams in the order of their first events, to backfill a table and to compare it with the log.

use std::collections::VecDeque;
use std::sync::Arc;

use roentgen_domain::ids::StreamId;

use crate::checkpoint::checkpoint_at;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::log::{LogFilter, StoredEvent};
use crate::projection::BATCH_BYTES;
use crate::projection::batch::Streams;
use crate::read_model::Checkpoint;

/// Maximum number of streams per statement. Statements have a timeout, and on a cold cache each stream may be a disk
/// read.
const STREAMS_AT_ONCE: u32 = 1_000;

/// Streams whose first events are in one range of the log, each with its events up to a position that may be far after
/// the range.
pub(super) struct StreamChunk {
    /// Checkpoint at the end of the range.
    pub(super) to: Checkpoint,
    /// Streams in the order of their first events.
    pub(super) streams: Streams,
}

/// Scan of the streams of one type.
pub(super) struct StreamScanner {
    engine: Arc<dyn Engine>,
    filter: LogFilter,
    /// Last position of the scan; later events and streams are not read.
    upto: u64,
    /// Last position scanned for first events.
    scanned: u64,
    /// First events up to `scanned` whose streams were not read yet.
    waiting: VecDeque<Arc<StoredEvent>>,
}

impl StreamScanner {
    /// Creates a scan of the streams whose first events are after `after`, with their events up to `upto`.
    pub(super) fn new(engine: &Arc<dyn Engine>, stream_type: &str, after: u64, upto: u64) -> Self {
        Self {
            engine: Arc::clone(engine),
            filter: LogFilter {
                stream_type: Some(stream_type.to_owned()),
                beginnings: true,
                ..LogFilter::default()
            },
            upto,
            scanned: after,
            waiting: VecDeque::new(),
        }
    }

    /// Returns the next chunk, or `None` at the end of the scan or if the log ends before it.
    pub(super) async fn next(&mut self) -> Result<Option<StreamChunk>, EngineError> {
        if self.waiting.is_empty() && !self.scan_ahead().await? {
            return Ok(None);
        }
        let streams = self.load_streams().await?;
        let next = self.waiting.front();
        let to = next.map_or(self.scanned, |event| event.position - 1);
        let last = streams.last().and_then(|(_, events)| events.first());
        let to = match last {
            Some(last) if last.position == to => Some(checkpoint_at(last)),
            Some(_) | None => self.engine.event_at(to).await?.as_ref().map(checkpoint_at),
        };
        Ok(to.map(|to| StreamChunk { to, streams }))
    }

    /// Loads the next waiting streams with all their events. Scans for further first events concurrently.
    async fn load_streams(&mut self) -> Result<Streams, EngineError> {
        let next = self.waiting.iter().take(STREAMS_AT_ONCE as usize);
        let ids: Vec<StreamId> = next.map(|event| event.stream_id).collect();
        let mut streams: Streams = Vec::with_capacity(ids.len());
        if ids.is_empty() {
            return Ok(streams);
        }
        let engine = Arc::clone(&self.engine);
        let upto = self.upto;
        let (tails, looked) = tokio::join!(engine.stream_tails(&ids, upto), self.scan_ahead());
        looked?;
        let tails = tails?;
        let whole = self.waiting.drain(..tails.streams);
        streams.extend(whole.map(|event| (event.stream_id, vec![event])));
        append(&mut streams, tails.events);
        Ok(streams)
    }

    /// Scans for further first events if few are waiting. Returns whether the scan advanced.
    async fn scan_ahead(&mut self) -> Result<bool, EngineError> {
        let from = self.scanned;
        let bytes: usize = self.waiting.iter().map(|event| event.payload.len()).sum();
        let enough = self.waiting.len() > STREAMS_AT_ONCE as usize || bytes > BATCH_BYTES;
        if from >= self.upto || enough {
            return Ok(false);
        }
        let page = self
            .engine
            .read_log(from, STREAMS_AT_ONCE, &self.filter)
            .await?;
        self.scanned = page.scanned_to.min(self.upto);
        let in_time = |event: &StoredEvent| event.position <= self.upto;
        let events = page.events.into_iter().filter(in_time);
        self.waiting.extend(events.map(Arc::new));
        Ok(self.scanned > from)
    }
}

/// Appends the remaining events of streams, which are in the order of the streams.
fn append(streams: &mut Streams, tails: Vec<StoredEvent>) {
    let mut streams = streams.iter_mut();
    let mut current = streams.next();
    for event in tails {
        while current
            .as_ref()
            .is_some_and(|current| current.0 != event.stream_id)
        {
            current = streams.next();
        }
        if let Some((_, events)) = &mut current {
            events.push(Arc::new(event));
        }
    }
}
