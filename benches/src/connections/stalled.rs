//! HTTP/2 streams that send a request and leave no window for the response.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use roentgen_tests::Raw;
use roentgen_tests::frames::{self, END_STREAM, Kind};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(super) const CONNECTIONS: u32 = 32;
/// Maximum number of concurrent streams per connection.
pub(super) const STREAMS: u32 = 32;
const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);

/// Outcome of the streams.
#[derive(Debug, Default)]
pub(super) struct Stalled {
    pub(super) reset: u64,
    /// Number of streams whose response had no body to stall.
    pub(super) ended: u64,
    pub(super) oldest_stream: Duration,
    pub(super) oldest_connection: Duration,
}

impl Stalled {
    /// Opens all streams and waits until the server has closed their connections.
    pub(super) async fn held(address: &str, token: &str) -> anyhow::Result<Self> {
        let mut held = JoinSet::new();
        for number in 0..CONNECTIONS {
            held.spawn(one(address.to_owned(), token.to_owned(), number));
        }
        let mut all = Self::default();
        while let Some(one) = held.join_next().await {
            let one = one??;
            all.reset += one.reset;
            all.ended += one.ended;
            all.oldest_stream = all.oldest_stream.max(one.oldest_stream);
            all.oldest_connection = all.oldest_connection.max(one.oldest_connection);
        }
        Ok(all)
    }
}

async fn one(address: String, token: String, number: u32) -> anyhow::Result<Stalled> {
    let bearer = format!("Bearer {token}");
    // With a window of 1 byte the server sends part of the response; with a window of 0 it sends none.
    let mut bytes = frames::begin(number % 2);
    for stream in 0..STREAMS {
        let path = match stream % 4 {
            0 => "/openapi.json",
            1 => "/imaging/modalities",
            2 => "/imaging/orders?limit=500",
            _ => "/nothing",
        };
        let headers = [("authorization", bearer.as_str())];
        bytes.extend(frames::get(2 * stream + 1, path, &headers));
    }
    let mut raw = Raw::connect(&address, FROM).await?;
    let opened = Instant::now();
    raw.stream.write_all(&bytes).await?;
    let mut open: BTreeSet<u32> = (0..STREAMS).map(|stream| 2 * stream + 1).collect();
    let mut seen = Stalled::default();
    while let Some(frame) = raw.frame().await? {
        let is_end = frame.kind == Kind::Reset as u8
            || frame.flags & END_STREAM != 0 && frame.kind != Kind::Settings as u8;
        if is_end && open.remove(&frame.stream) {
            seen.reset += u64::from(frame.kind == Kind::Reset as u8);
            seen.ended += u64::from(frame.kind != Kind::Reset as u8);
            seen.oldest_stream = opened.elapsed();
        }
    }
    seen.oldest_connection = opened.elapsed();
    if !open.is_empty() {
        seen.oldest_stream = seen.oldest_connection;
    }
    Ok(seen)
}
