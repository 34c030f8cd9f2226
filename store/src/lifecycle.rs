//! Background tasks with one life: a token that stops them, and a tracker that waits for them.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The process's background tasks. Clones share one life.
#[derive(Debug, Clone, Default)]
pub struct BackgroundTasks {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl BackgroundTasks {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is cancelled when the tasks are to stop.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts a task, which is to end by itself once the token is cancelled. A task that panics is logged by name.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let running = self.tracker.spawn(task);
        self.tracker.spawn(async move {
            if let Err(error) = running.await {
                tracing::error!(
                    event = "task.exited",
                    task = name,
                    panicked = error.is_panic(),
                    "background task exited unexpectedly",
                );
            }
        });
    }

    /// Runs a future as a task of its own, which continues from the first poll even if the caller is dropped.
    ///
    /// # Errors
    ///
    /// [`JoinError`] if it panics.
    pub async fn run_isolated<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        self.tracker.spawn(task).await
    }

    /// Runs a future as [`BackgroundTasks::run_isolated`] does; its panic goes on in the caller. `None` where the
    /// runtime ends.
    pub async fn run_propagating_panics<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        match self.run_isolated(task).await {
            Ok(ended) => Some(ended),
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_stopped) => None,
            },
        }
    }

    /// Asks the tasks to stop and waits for them, at most for `limit`. `false` where some did not.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait())
            .await
            .is_ok()
    }
}
