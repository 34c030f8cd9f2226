//! Background tasks that are stopped together: a token that stops them, and a tracker that waits for them.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The background tasks of the process. Clones share one token and one tracker.
#[derive(Debug, Clone, Default)]
pub struct BackgroundTasks {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl BackgroundTasks {
    /// Creates an empty set of tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a token that is cancelled when the tasks must stop.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts a task, which must end after the token is cancelled. A panic of the task is logged with its name.
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

    /// Runs a future as a separate task, which continues after its first poll even if the caller is dropped.
    ///
    /// # Errors
    ///
    /// [`JoinError`] if the future panics.
    pub async fn run_isolated<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        self.tracker.spawn(task).await
    }

    /// Runs a future as [`BackgroundTasks::run_isolated`] does, and resumes its panic in the caller. `None` if the
    /// runtime shuts down.
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

    /// Asks the tasks to stop and waits for them, at most for `limit`. Returns `false` if some are still running.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait())
            .await
            .is_ok()
    }
}
