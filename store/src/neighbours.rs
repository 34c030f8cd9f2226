//! Nodes tell each other that the log has grown, so that nobody has to look all the time. It is told after the append and
//! outside of it: within its transaction it would take a lock of the whole server's for every batch.
//!
//! A word that is lost costs a moment: whoever waits for events looks by itself now and then.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::{EngineError, causes};
use crate::lifecycle::Tasks;
use crate::tail::Tail;

/// The shortest time between two words of one node: what comes meanwhile is told at once.
const BETWEEN_WORDS: Duration = Duration::from_millis(5);
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// What other nodes say.
#[async_trait]
pub trait Hearing: Send {
    /// Waits for the next word of another node.
    async fn next(&mut self) -> Result<(), EngineError>;
}

/// Tells and hears, until the tasks are to end.
pub(crate) fn start(engine: &Arc<dyn Engine>, tail: &Arc<Tail>, tasks: &Tasks) {
    let own = tail.own();
    tasks.spawn("telling", tell(Arc::clone(engine), own, tasks.token()));
    let hearing = hear(Arc::clone(engine), Arc::clone(tail));
    let stop = tasks.token();
    tasks.spawn("hearing", async move {
        stop.run_until_cancelled(hearing).await;
    });
}

async fn tell(engine: Arc<dyn Engine>, mut own: watch::Receiver<u64>, stop: CancellationToken) {
    while let Some(Ok(())) = stop.run_until_cancelled(own.changed()).await {
        if let Err(error) = engine.tell().await {
            tracing::debug!(error = causes(&error), "other nodes were not told");
        }
        tokio::time::sleep(BETWEEN_WORDS).await;
    }
}

async fn hear(engine: Arc<dyn Engine>, tail: Arc<Tail>) {
    loop {
        match listen(&*engine, &tail).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(error = causes(&error), "other nodes are not heard"),
        }
        tokio::time::sleep(AFTER_A_FAILURE).await;
    }
}

/// Ends where there is nobody to hear. What was said before this node listened is looked up first.
async fn listen(engine: &dyn Engine, tail: &Tail) -> Result<(), EngineError> {
    let Some(mut hearing) = engine.hearing().await? else {
        return Ok(());
    };
    loop {
        tail.saw(engine.head().await?.position);
        hearing.next().await?;
    }
}
