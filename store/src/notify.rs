//! Notifications between nodes that the log has grown, so that nodes need not poll all the time. A notification is sent
//! after the append, outside its transaction: within the transaction, `NOTIFY` would take a server-wide lock for every
//! batch.
//!
//! A lost notification only adds latency, because all tasks that wait for events also poll.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::EventLog;
use crate::error::{EngineError, error_chain};
use crate::lifecycle::BackgroundTasks;
use crate::recent_events::RecentEvents;

/// Minimum interval between two notifications of one node. Appends within the interval share one notification.
const MIN_NOTIFY_INTERVAL: Duration = Duration::from_millis(5);
const ERROR_BACKOFF: Duration = Duration::from_secs(1);

/// Starts sending and receiving notifications, until the tasks are stopped.
pub(crate) fn start(log: &Arc<dyn EventLog>, tail: &Arc<RecentEvents>, tasks: &BackgroundTasks) {
    let own = tail.written_here();
    tasks.spawn(
        "telling",
        publish_notifications(Arc::clone(log), own, tasks.token()),
    );
    let hearing = receive_notifications(Arc::clone(log), Arc::clone(tail));
    let stop = tasks.token();
    tasks.spawn("hearing", async move {
        stop.run_until_cancelled(hearing).await;
    });
}

async fn publish_notifications(
    log: Arc<dyn EventLog>,
    mut own: watch::Receiver<u64>,
    stop: CancellationToken,
) {
    while let Some(Ok(())) = stop.run_until_cancelled(own.changed()).await {
        if let Err(error) = log.notify_appended().await {
            tracing::debug!(
                event = "notify.send_failed",
                error = error_chain(&error),
                "NOTIFY failed",
            );
        }
        tokio::time::sleep(MIN_NOTIFY_INTERVAL).await;
    }
}

async fn receive_notifications(log: Arc<dyn EventLog>, tail: Arc<RecentEvents>) {
    loop {
        match receive_until_closed(&*log, &tail).await {
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

/// Receives notifications until the connection fails; returns `Ok` if the log has none. Reads the head of the log
/// first, for appends before this node listened.
async fn receive_until_closed(log: &dyn EventLog, tail: &RecentEvents) -> Result<(), EngineError> {
    let Some(mut hearing) = log.listen().await? else {
        return Ok(());
    };
    loop {
        tail.observe(log.head().await?.position);
        hearing.next().await?;
    }
}
