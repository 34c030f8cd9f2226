//! Nodes tell each other that the log has grown, so that nobody has to look all the time. It is told after the append
//! and outside of it: within its transaction it would take a lock of the whole server's for every batch.
//!
//! A word that is lost costs a moment: whoever waits for events looks by itself now and then.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::{EngineError, error_chain};
use crate::lifecycle::BackgroundTasks;
use crate::recent_events::RecentEvents;

/// The shortest time between two words of one node: what comes meanwhile is told at once.
const MIN_NOTIFY_INTERVAL: Duration = Duration::from_millis(5);
const ERROR_BACKOFF: Duration = Duration::from_secs(1);

/// What other nodes say.
#[async_trait]
pub trait NotificationStream: Send {
    /// Waits for the next word of another node.
    async fn next(&mut self) -> Result<(), EngineError>;
}

/// Tells and hears, until the tasks are to end.
pub(crate) fn start(engine: &Arc<dyn Engine>, tail: &Arc<RecentEvents>, tasks: &BackgroundTasks) {
    let own = tail.written_here();
    tasks.spawn(
        "telling",
        publish_notifications(Arc::clone(engine), own, tasks.token()),
    );
    let hearing = receive_notifications(Arc::clone(engine), Arc::clone(tail));
    let stop = tasks.token();
    tasks.spawn("hearing", async move {
        stop.run_until_cancelled(hearing).await;
    });
}

async fn publish_notifications(
    engine: Arc<dyn Engine>,
    mut own: watch::Receiver<u64>,
    stop: CancellationToken,
) {
    while let Some(Ok(())) = stop.run_until_cancelled(own.changed()).await {
        if let Err(error) = engine.notify_appended().await {
            tracing::debug!(
                event = "notify.send_failed",
                error = error_chain(&error),
                "NOTIFY failed",
            );
        }
        tokio::time::sleep(MIN_NOTIFY_INTERVAL).await;
    }
}

async fn receive_notifications(engine: Arc<dyn Engine>, tail: Arc<RecentEvents>) {
    loop {
        match receive_until_closed(&*engine, &tail).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(
                event = "notify.listen_failed",
                error = error_chain(&error),
                "LISTEN connection lost; polling",
            ),
        }
        tokio::time::sleep(ERROR_BACKOFF).await;
    }
}

/// Ends where there is nobody to hear. What was said before this node listened is looked up first.
async fn receive_until_closed(engine: &dyn Engine, tail: &RecentEvents) -> Result<(), EngineError> {
    let Some(mut hearing) = engine.listen().await? else {
        return Ok(());
    };
    loop {
        tail.observe(engine.head().await?.position);
        hearing.next().await?;
    }
}
