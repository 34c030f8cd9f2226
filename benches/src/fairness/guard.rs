//! Ends a server that takes so much memory that the machine would be in danger.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::interval;

use crate::http_client::{Kill, Server};

/// More than any bound allows, in bytes.
const MOST_BYTES: u64 = 6_000_000_000;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks at a server's memory until it is dropped.
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
