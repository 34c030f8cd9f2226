//! Connections that send nothing, from many addresses, so that each address stays below its limit.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use roentgen_tests::Raw;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(super) const CONNECTIONS: usize = 10_000;
const OF_ADDRESS: usize = 250;

/// Number of open connections.
#[derive(Debug, Default)]
pub(super) struct Silent(Arc<AtomicUsize>);

/// Outcome of the connections.
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// Number of connections that the server closed.
    pub(super) closed: u64,
    /// Lifetime of the longest-lived connection.
    pub(super) oldest: Duration,
}

impl Silent {
    pub(super) fn open(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Opens all connections and waits until the server has closed them.
    pub(super) async fn opened(&self, address: &str) -> anyhow::Result<Closed> {
        let mut waiting = JoinSet::new();
        for number in 0..CONNECTIONS {
            let from = address_of(number).context("too many addresses")?;
            let mut raw = Raw::connect(address, from).await?;
            let opened = Instant::now();
            let open = Arc::clone(&self.0);
            open.fetch_add(1, Ordering::Relaxed);
            waiting.spawn(async move {
                let is_closed = raw.closed().await.is_some();
                open.fetch_sub(1, Ordering::Relaxed);
                (is_closed, opened.elapsed())
            });
        }
        let mut all = Closed::default();
        for (is_closed, age) in waiting.join_all().await {
            all.closed += u64::from(is_closed);
            all.oldest = all.oldest.max(age);
        }
        Ok(all)
    }
}

/// Returns the loopback address of a connection, from 127.0.1.1 upwards.
fn address_of(number: usize) -> Option<Ipv4Addr> {
    let last = u8::try_from(number / OF_ADDRESS + 1).ok()?;
    Some(Ipv4Addr::new(127, 0, 1, last))
}
