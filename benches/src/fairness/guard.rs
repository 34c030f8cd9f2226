//! Kills a server whose memory use endangers the machine.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::interval;

use crate::http_client::{Kill, Server};

/// Memory at which the server is killed, above every bound, in bytes.
const MOST_BYTES: u64 = 6_000_000_000;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Task that checks a server's memory until this value is dropped.
#[derive(Debug)]
pub(crate) struct MemoryGuard {
    _looking: JoinSet<()>,
}

impl MemoryGuard {
    pub(crate) fn start(server: &Server) -> Self {
        let mut looking = JoinSet::new();
        looking.spawn(look(server.killer()));
        Self { _looking: looking }
    }
}

async fn look(server: Kill) {
    let mut tick = interval(LOOK_EVERY);
    while let Some(memory) = server.memory() {
        if memory > MOST_BYTES {
            println!(
                "    the server had {} MB, and was killed",
                memory / 1_000_000
            );
            server.kill();
            return;
        }
        tick.tick().await;
    }
}
