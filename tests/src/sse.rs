//! Reader of server-sent events (WHATWG HTML, section 9.2).

use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Response;
use serde_json::Value;

/// Longer than the interval of heartbeats.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Lines between two empty lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SseFrame {
    /// Value of `id:`.
    pub id: String,
    /// Value of `event:`; empty in a heartbeat.
    pub event: String,
    /// Value of `data:`, parsed as JSON; `null` in a heartbeat.
    pub data: Value,
}

/// Open stream of events.
#[derive(Debug)]
pub struct SseReader {
    /// Response whose body is the stream.
    pub response: Response,
    unread: String,
}

impl SseReader {
    pub(crate) fn new(response: Response) -> Self {
        Self {
            response,
            unread: String::new(),
        }
    }

    /// Returns the next frame, or `None` if the server ended the response.
    pub async fn next(&mut self) -> Result<Option<SseFrame>> {
        loop {
            if let Some((frame, rest)) = self.unread.split_once("\n\n") {
                let frame = parse(frame);
                let rest = rest.to_owned();
                self.unread = rest;
                return Ok(Some(frame));
            }
            let read = tokio::time::timeout(WAIT_TIMEOUT, self.response.chunk());
            let Some(chunk) = read.await.context("the feed is silent")?? else {
                return Ok(None);
            };
            self.unread.push_str(std::str::from_utf8(&chunk)?);
        }
    }
}

fn parse(frame: &str) -> SseFrame {
    let mut parsed = SseFrame::default();
    for line in frame.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => id.clone_into(&mut parsed.id),
            Some(("event", event)) => event.clone_into(&mut parsed.event),
            Some(("data", data)) => parsed.data = serde_json::from_str(data).unwrap_or_default(),
            Some(_) | None => {}
        }
    }
    parsed
}
