//! Publishing session, from one check of the stream until the next one is required.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{Context, PublishError};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::Info;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use roentgen_store::checkpoint::checkpoint_mismatch;
use roentgen_store::database::Store;
use roentgen_store::engine::SubscriptionStore;
use roentgen_store::error::error_chain;
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::log::{MAX_EVENT_BYTES, StoredEvent};
use roentgen_store::read_model::Checkpoint;
use roentgen_store::recent_events::RecentEvents;
use roentgen_store::relay_checkpoint::RelayCheckpoint;
use tokio::time::{Instant, sleep_until};

use crate::cloud_event::to_cloud_event;
use crate::connection::{Connection, MAX_IN_FLIGHT};
use crate::halt_reason::HaltReason;
use crate::key::EventKey;
use crate::log_reader::LogReader;
use crate::progress::RelayProgress;
use crate::resume;
use crate::session_end::SessionEnd;
use crate::settings::StreamSettings;
use crate::{RELAY, stream};

/// Maximum total size of the messages in flight, in bytes (4 MiB).
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Maximum size of the headers of a message, in bytes (4 KiB).
const MAX_HEADERS: usize = 4 * 1024;
/// Interval at which an advanced checkpoint is saved, 250 ms. Positions that were not saved are recovered from the
/// stream.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(250);
/// Interval of checks of the stream, 1 s.
const STREAM_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Timeout of the last checkpoint save of a session, 5 s.
const FINAL_SAVE_TIMEOUT: Duration = Duration::from_secs(5);

type AckResult = Result<(InFlightMessage, PublishAck), PublishError>;

/// Published message that is not acknowledged yet.
#[derive(Debug, Clone, Copy)]
struct InFlightMessage {
    event: Checkpoint,
    sequence: u64,
    bytes: usize,
}

/// Background operation of a session; publishing does not wait for it.
type BackgroundOp<'a, T> = Option<BoxFuture<'a, Result<T, SessionEnd>>>;

/// Session of the only publisher of the stream.
pub(crate) struct PublishSession<'a> {
    checkpoints: Arc<dyn SubscriptionStore>,
    tail: Arc<RecentEvents>,
    events: LogReader,
    jetstream: &'a Context,
    key: &'a EventKey,
    progress: &'a RelayProgress,
    tasks: &'a BackgroundTasks,
    /// Checkpoint as saved in the database.
    saved: RelayCheckpoint,
    /// Checkpoint of the last acknowledged message.
    acknowledged: RelayCheckpoint,
    /// Checkpoint save in progress.
    saving: BackgroundOp<'a, RelayCheckpoint>,
    saved_at: Instant,
    /// Stream check in progress, with the acknowledged checkpoint at its start.
    looking: BackgroundOp<'a, (RelayCheckpoint, Option<Info>)>,
    looked_at: Instant,
    /// Last position and sequence that were sent.
    sent: (u64, u64),
    waiting: VecDeque<Arc<StoredEvent>>,
    on_their_way: FuturesOrdered<BoxFuture<'static, AckResult>>,
    bytes: usize,
}

impl<'a> PublishSession<'a> {
    /// Checks the stream, and finds the position to resume from.
    pub(crate) async fn open(
        store: &Store,
        settings: &StreamSettings,
        key: &'a EventKey,
        connection: &'a Connection,
        progress: &'a RelayProgress,
        tasks: &'a BackgroundTasks,
    ) -> Result<Self, SessionEnd> {
        check_max_payload(connection.max_payload)?;
        let checkpoints: Arc<dyn SubscriptionStore> = store.engine.clone();
        let jetstream = &connection.jetstream;
        let here = find_resume_point(&checkpoints, jetstream, settings).await?;
        progress.record_ack(here.position);
        if progress.mark_connected() {
            let position = here.position;
            let sequence = here.last_sequence;
            tracing::info!(
                event = "relay.started",
                position,
                sequence,
                "publishing from position"
            );
        }
        Ok(Self {
            events: LogReader::new(checkpoints.clone(), Arc::clone(&store.tail)),
            tail: Arc::clone(&store.tail),
            checkpoints,
            jetstream,
            key,
            progress,
            tasks,
            saved: here,
            acknowledged: here,
            saving: None,
            saved_at: Instant::now(),
            looking: None,
            looked_at: Instant::now(),
            sent: (here.position, here.last_sequence),
            waiting: VecDeque::new(),
            on_their_way: FuturesOrdered::new(),
            bytes: 0,
        })
    }

    /// Publishes events until the session ends.
    pub(crate) async fn publish(&mut self) -> SessionEnd {
        loop {
            if let Err(ended) = self.step().await {
                return ended;
            }
        }
    }

    async fn step(&mut self) -> Result<(), SessionEnd> {
        self.fill_send_window().await?;
        let reads = self.waiting.is_empty() && self.has_room();
        let saves = self.saving.is_none() && self.is_unsaved();
        let looks = self.looking.is_none();
        let sent = self.sent.0;
        tokio::select! {
            Some(acknowledged) = self.on_their_way.next() => self.record_ack(acknowledged?)?,
            () = LogReader::wait(&self.tail, sent), if reads => {}
            saved = background_result(&mut self.saving) => self.note_saved(saved?),
            seen = background_result(&mut self.looking) => self.check_stream(seen?)?,
            () = sleep_until(self.saved_at + CHECKPOINT_INTERVAL), if saves => self.save(),
            () = sleep_until(self.looked_at + STREAM_CHECK_INTERVAL), if looks => self.start_stream_check(),
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.on_their_way.len() < MAX_IN_FLIGHT && self.bytes < MAX_BYTES
    }

    fn is_unsaved(&self) -> bool {
        self.acknowledged != self.saved
    }

    /// Sends events while there are any and the limits allow it, without waiting for acknowledgements.
    async fn fill_send_window(&mut self) -> Result<(), SessionEnd> {
        while self.has_room() {
            let Some(event) = self.waiting.pop_front() else {
                let more = self.events.after(self.sent.0).await?;
                if more.is_empty() {
                    return Ok(());
                }
                self.waiting.extend(more);
                continue;
            };
            self.send(&event).await?;
        }
        Ok(())
    }

    async fn send(&mut self, event: &StoredEvent) -> Result<(), SessionEnd> {
        let message = to_cloud_event(event, self.sent.1, self.key);
        let sent = InFlightMessage {
            event: Checkpoint {
                position: event.position,
                hash: event.hash,
            },
            sequence: self.sent.1 + 1,
            bytes: message.body.len() + MAX_HEADERS,
        };
        let subject = message.subject;
        let headers = message.headers;
        let body = message.body;
        let publishing = self
            .jetstream
            .publish_with_headers(subject, headers, body)
            .await?;
        self.sent = (sent.event.position, sent.sequence);
        self.bytes += sent.bytes;
        let acknowledged = publishing.into_future();
        self.on_their_way
            .push_back(Box::pin(async move { Ok((sent, acknowledged.await?)) }));
        Ok(())
    }

    fn record_ack(
        &mut self,
        (sent, said): (InFlightMessage, PublishAck),
    ) -> Result<(), SessionEnd> {
        // A duplicate is acknowledged with its original sequence. If the sequence differs, the stream is not in the
        // expected state.
        if said.sequence != sent.sequence {
            return Err(SessionEnd::Superseded);
        }
        self.bytes = self.bytes.saturating_sub(sent.bytes);
        self.acknowledged = RelayCheckpoint {
            position: sent.event.position,
            hash: sent.event.hash,
            last_sequence: sent.sequence,
            ..self.acknowledged
        };
        self.progress.record_ack(sent.event.position);
        metrics::counter!("roentgen_relay_published_total").increment(1);
        Ok(())
    }

    /// Starts to save the acknowledged checkpoint. The save is a separate task: on SQLite it holds the writer that
    /// appends wait for, and would keep it while the session is not polled.
    fn save(&mut self) {
        let from = self.saved;
        let to = self.acknowledged;
        let checkpoints = Arc::clone(&self.checkpoints);
        let tasks = self.tasks;
        let write = async move { checkpoints.advance_relay(RELAY, Some(&from), &to).await };
        self.saving = Some(Box::pin(async move {
            let moved = match tasks.run_propagating_panics(write).await {
                Some(moved) => moved?,
                None => return Err(SessionEnd::NotLeading),
            };
            if !moved {
                tracing::warn!(
                    event = "relay.checkpoint_conflict",
                    "checkpoint moved by another node",
                );
                return Err(SessionEnd::Superseded);
            }
            Ok(to)
        }));
    }

    fn note_saved(&mut self, saved: RelayCheckpoint) {
        self.saved = saved;
        self.saved_at = Instant::now();
    }

    /// Starts a check of the stream.
    fn start_stream_check(&mut self) {
        let jetstream = self.jetstream;
        let acknowledged = self.acknowledged;
        self.looking = Some(Box::pin(async move {
            Ok((acknowledged, stream::find_stream(jetstream).await?))
        }));
    }

    /// Checks that the stream is still the same, and that there is no other publisher.
    fn check_stream(
        &mut self,
        (acknowledged, info): (RelayCheckpoint, Option<Info>),
    ) -> Result<(), SessionEnd> {
        let seen = stream::snapshot(&info.ok_or(SessionEnd::Superseded)?);
        resume::check_continuity(&acknowledged, &seen)?;
        if seen.last_sequence > self.sent.1 {
            return Err(SessionEnd::Superseded);
        }
        self.looked_at = Instant::now();
        Ok(())
    }

    /// Saves the acknowledged checkpoint. If the save fails, the next session resumes from the stream.
    pub(crate) async fn close(mut self) {
        match tokio::time::timeout(FINAL_SAVE_TIMEOUT, self.save_final_checkpoint()).await {
            Ok(Err(SessionEnd::Database(error))) => {
                let error = error_chain(&error);
                tracing::warn!(
                    event = "relay.checkpoint_not_saved",
                    error,
                    "checkpoint not saved; will resume from the stream",
                );
            }
            Err(error) => {
                tracing::warn!(
                    event = "relay.checkpoint_not_saved",
                    %error,
                    "checkpoint not saved; will resume from the stream",
                )
            }
            Ok(
                Ok(())
                | Err(
                    SessionEnd::NotLeading
                    | SessionEnd::Superseded
                    | SessionEnd::ConnectionLost
                    | SessionEnd::NatsUnavailable(_)
                    | SessionEnd::Halted(_),
                ),
            ) => {}
        }
    }

    async fn save_final_checkpoint(&mut self) -> Result<(), SessionEnd> {
        while self.saving.is_some() || self.is_unsaved() {
            if self.saving.is_none() {
                self.save();
            }
            let saved = background_result(&mut self.saving).await?;
            self.note_saved(saved);
        }
        Ok(())
    }
}

/// Waits for a background operation, or forever if there is none. It is cancel-safe: the next call waits for the same
/// operation.
async fn background_result<T>(aside: &mut BackgroundOp<'_, T>) -> Result<T, SessionEnd> {
    let Some(under_way) = aside else {
        return std::future::pending().await;
    };
    let done = under_way.await;
    *aside = None;
    done
}

/// Checks that the server accepts the largest possible event. Publishing could not get past a larger one.
fn check_max_payload(max_payload: usize) -> Result<(), HaltReason> {
    let needed = MAX_EVENT_BYTES + MAX_HEADERS;
    if max_payload >= needed {
        return Ok(());
    }
    Err(HaltReason::StreamUnfit {
        reason: format!("server max_payload is {max_payload} bytes, events may need {needed}"),
    })
}

/// Returns the checkpoint to resume from. The saved checkpoint is read before the stream, so that it cannot be ahead of
/// the stream.
async fn find_resume_point(
    checkpoints: &Arc<dyn SubscriptionStore>,
    jetstream: &Context,
    settings: &StreamSettings,
) -> Result<RelayCheckpoint, SessionEnd> {
    let left = checkpoints.relay_checkpoint(RELAY).await?;
    if let Some(left) = &left {
        let ahead = checkpoint_mismatch(&**checkpoints, RELAY, left.as_checkpoint()).await?;
        ahead.map_or(Ok(()), |ahead| Err(HaltReason::from(ahead)))?;
    }
    let seen = stream::snapshot(&stream::ensure_stream(jetstream, settings, left.as_ref()).await?);
    if let Some(left) = &left {
        resume::check_continuity(left, &seen)?;
    }
    let here = match resume::resume_from_checkpoint(left.as_ref(), &seen) {
        Some(here) => here,
        None => {
            let last =
                stream::last_message(jetstream, checkpoints.as_ref(), seen.last_sequence).await?;
            resume::resume_after_last_message(left.as_ref(), &seen, last)?
        }
    };
    if left != Some(here)
        && !checkpoints
            .advance_relay(RELAY, left.as_ref(), &here)
            .await?
    {
        return Err(SessionEnd::Superseded);
    }
    Ok(here)
}
