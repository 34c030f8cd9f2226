//! NATS relay: publishes every event of the log once, in position order, to a JetStream stream (contract, section 6).
//!
//! The leader is the only publisher of all nodes. Each position has exactly one sequence in the stream: each publish
//! names the expected last sequence (`Nats-Expected-Last-Sequence`), so that the stream rejects messages that are
//! repeated, late or sent by a second publisher. A message is a CloudEvent in binary mode and contains no PHI. The
//! checkpoint of the relay follows the acknowledgements; if it is behind, the last message of the stream shows the
//! published position. If the stream is not in the expected state, the relay is halted with a named [`HaltReason`], and
//! publishes nothing until the stream is restored or an operator decides.

#![warn(missing_docs)]

mod cloud_event;
mod connection;
mod halt_reason;
mod key;
mod log_reader;
mod progress;
mod resume;
mod session;
mod session_end;
mod settings;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use roentgen_store::database::Store;
use roentgen_store::error::error_chain;
use roentgen_store::lease::Leadership;
use roentgen_store::lifecycle::BackgroundTasks;
use tokio_util::sync::CancellationToken;

pub use halt_reason::HaltReason;
pub use key::{EventKey, InvalidEventKey};
pub use progress::{RelayProgress, RelayStatus};
pub use settings::{
    Authentication, InvalidNatsServers, NatsServers, Settings, StreamSettings, Tls,
};

use session::PublishSession;
use session_end::SessionEnd;

/// Name of the relay's checkpoint.
pub const RELAY: &str = "nats";

/// Name of the JetStream stream.
pub const STREAM: &str = "ROENTGEN_EVENTS";

/// Delay before the next session, doubled from the minimum to the maximum.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// Delay before a halted relay checks the condition again, 1 s.
const AFTER_A_REFUSAL: Duration = Duration::from_secs(1);

/// Restarts the relay after a panic; it resumes from the stream.
async fn supervise(relay: Relay, leadership: Leadership, tasks: BackgroundTasks) {
    let relay = Arc::new(relay);
    loop {
        let again = Arc::clone(&relay);
        let leadership = leadership.clone();
        let run = tasks.run_isolated(async move { again.run(leadership).await });
        let Err(ended) = run.await else { return };
        tracing::error!(
            event = "relay.restarted",
            panicked = ended.is_panic(),
            "relay restarted"
        );
        relay.pause(MAX_BACKOFF).await;
    }
}

/// Task that publishes the log.
#[derive(Debug)]
pub struct Relay {
    store: Store,
    settings: Settings,
    key: EventKey,
    progress: RelayProgress,
    tasks: BackgroundTasks,
    stop: CancellationToken,
}

impl Relay {
    /// Starts the relay, which publishes while this node is the leader.
    pub fn start(
        store: Store,
        settings: Settings,
        key: EventKey,
        leadership: Leadership,
        tasks: &BackgroundTasks,
    ) -> RelayProgress {
        let progress = RelayProgress::new(store.engine.clone());
        let relay = Self {
            store,
            settings,
            key,
            progress: progress.clone(),
            tasks: tasks.clone(),
            stop: tasks.token(),
        };
        tasks.spawn("relay", supervise(relay, leadership, tasks.clone()));
        progress
    }

    async fn run(&self, mut leadership: Leadership) {
        let mut pause = INITIAL_BACKOFF;
        while !self.stop.is_cancelled() {
            if !leadership.held() {
                self.progress.mark_following();
                tokio::select! {
                    () = leadership.gained() => {}
                    () = self.stop.cancelled() => return,
                }
            }
            let before = self.progress.acknowledged();
            let ended = self.lead(&mut leadership).await;
            if self.progress.acknowledged() != before {
                pause = INITIAL_BACKOFF;
            }
            let this_time = self.note(&ended, pause);
            pause = (pause * 2).min(MAX_BACKOFF);
            self.pause(this_time).await;
        }
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Runs one session, until the connection is lost, the relay is halted, or this node loses the lease.
    async fn lead(&self, leadership: &mut Leadership) -> SessionEnd {
        let connecting = connection::open(&self.settings);
        let connection = tokio::select! {
            connection = connecting => connection,
            () = leadership.lost() => return SessionEnd::NotLeading,
            () = self.stop.cancelled() => return SessionEnd::NotLeading,
        };
        let connection = match connection {
            Ok(connection) => connection,
            Err(away) => return SessionEnd::NatsUnavailable(away.into()),
        };
        let opening = PublishSession::open(
            &self.store,
            &self.settings.stream,
            &self.key,
            &connection,
            &self.progress,
            &self.tasks,
        );
        let opened = tokio::select! {
            opened = opening => opened,
            () = connection.lost() => return SessionEnd::ConnectionLost,
            () = self.stop.cancelled() => return SessionEnd::NotLeading,
        };
        let mut session = match opened {
            Ok(session) => session,
            Err(ended) => return ended,
        };
        let ended = tokio::select! {
            ended = session.publish() => ended,
            () = connection.lost() => SessionEnd::ConnectionLost,
            () = leadership.lost() => SessionEnd::NotLeading,
            () = self.stop.cancelled() => SessionEnd::NotLeading,
        };
        session.close().await;
        ended
    }

    /// Logs why a session ended, and returns the delay before the next one.
    fn note(&self, ended: &SessionEnd, pause: Duration) -> Duration {
        match ended {
            SessionEnd::NotLeading => return Duration::ZERO,
            SessionEnd::Superseded => tracing::debug!(
                event = "relay.superseded",
                "stream advanced elsewhere; reopening session",
            ),
            SessionEnd::ConnectionLost => {
                tracing::warn!(event = "relay.disconnected", "NATS connection lost")
            }
            SessionEnd::NatsUnavailable(error) => {
                if self.progress.mark_unavailable() {
                    tracing::warn!(
                        event = "relay.nats_unavailable",
                        error = error_chain(&**error),
                        "NATS unavailable",
                    );
                }
            }
            SessionEnd::Database(error) => {
                tracing::warn!(
                    event = "relay.retrying",
                    error = error_chain(error),
                    "relay paused after a database error",
                )
            }
            SessionEnd::Halted(refused) => {
                if self.progress.mark_halted(refused) {
                    let problem = refused.name();
                    tracing::error!(event = "relay.halted", problem, %refused, "relay halted");
                }
                return AFTER_A_REFUSAL;
            }
        }
        pause
    }
}
