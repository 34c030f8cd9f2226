//! One session: from a look at the stream to the moment at which it has to be looked at again.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{Context, PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::Info;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use roentgen_store::engine::Engine;
use roentgen_store::error::{EngineError, causes};
use roentgen_store::lifecycle::Tasks;
use roentgen_store::log::{MAX_EVENT_BYTES, StoredEvent};
use roentgen_store::model::Checkpoint;
use roentgen_store::open::Store;
use roentgen_store::projector::mismatch;
use roentgen_store::relayed::RelayCheckpoint;
use roentgen_store::tail::Tail;
use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;
use crate::events::Events;
use crate::fit;
use crate::key::EventKey;
use crate::message::outgoing;
use crate::progress::Progress;
use crate::refused::Refused;
use crate::settings::StreamSettings;
use crate::{RELAY, stream};

/// Messages on their way at once, and how many bytes of them.
pub(crate) const MAX_IN_FLIGHT: usize = 512;
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// A message's headers at the most, in bytes.
const MAX_HEADERS: usize = 4 * 1024;
/// How often the checkpoint is written where it moves: what was not written is found again in the stream.
const SAVED_EVERY: Duration = Duration::from_millis(250);
/// How often the stream is looked at.
const LOOKED_EVERY: Duration = Duration::from_secs(1);
/// How long a session's last checkpoint may take.
const LAST_SAVE: Duration = Duration::from_secs(5);

/// Why a session ended, or did not begin.
#[derive(Debug)]
pub(crate) enum Ended {
    /// This node does not lead, or stops.
    NotLeading,
    /// The stream or the checkpoint is not where it was: another publisher, or a message of this one that came late.
    Overtaken,
    /// The connection.
    Lost,
    /// NATS cannot do it now.
    Away(Box<dyn Error + Send + Sync>),
    /// The database.
    Engine(EngineError),
    /// Something is wrong that no time mends.
    Refused(Refused),
}

impl From<EngineError> for Ended {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Refused> for Ended {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<PublishError> for Ended {
    fn from(error: PublishError) -> Self {
        match error.kind() {
            PublishErrorKind::WrongLastSequence
            | PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::StreamNotFound => Self::Overtaken,
            PublishErrorKind::TimedOut
            | PublishErrorKind::BrokenPipe
            | PublishErrorKind::MaxAckPending
            | PublishErrorKind::MaxPayloadExceeded
            | PublishErrorKind::Other => Self::Away(error.into()),
        }
    }
}

type Acknowledged = Result<(Sent, PublishAck), PublishError>;

/// A message on its way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    event: Checkpoint,
    sequence: u64,
    bytes: usize,
}

/// Something that goes on beside the publishing: no message waits for it.
type Aside<'a, T> = Option<BoxFuture<'a, Result<T, Ended>>>;

/// The stream in the hands of its publisher.
pub(crate) struct Session<'a> {
    engine: Arc<dyn Engine>,
    tail: Arc<Tail>,
    events: Events,
    jetstream: &'a Context,
    key: &'a EventKey,
    progress: &'a Progress,
    tasks: &'a Tasks,
    /// The checkpoint as it is written down.
    saved: RelayCheckpoint,
    /// The checkpoint as it is acknowledged.
    acknowledged: RelayCheckpoint,
    /// The checkpoint on its way to the database.
    saving: Aside<'a, RelayCheckpoint>,
    saved_at: Instant,
    /// What was acknowledged when a look at the stream began, and what is seen.
    looking: Aside<'a, (RelayCheckpoint, Option<Info>)>,
    looked_at: Instant,
    /// The last position and sequence that were sent.
    sent: (u64, u64),
    waiting: VecDeque<Arc<StoredEvent>>,
    on_their_way: FuturesOrdered<BoxFuture<'static, Acknowledged>>,
    bytes: usize,
}

impl<'a> Session<'a> {
    /// Looks at the stream, and finds where to go on in it.
    pub(crate) async fn open(
        store: &Store,
        settings: &StreamSettings,
        key: &'a EventKey,
        connection: &'a Connection,
        progress: &'a Progress,
        tasks: &'a Tasks,
    ) -> Result<Self, Ended> {
        can_take_every_event(connection.max_payload)?;
        let engine = Arc::clone(&store.engine);
        let jetstream = &connection.jetstream;
        let here = whereabouts(&engine, jetstream, settings).await?;
        progress.acknowledges(here.position);
        if progress.is_up() {
            let (position, sequence) = (here.position, here.last_sequence);
            tracing::info!(position, sequence, "the relay publishes");
        }
        Ok(Self {
            events: Events::new(Arc::clone(&engine), Arc::clone(&store.tail)),
            tail: Arc::clone(&store.tail),
            engine,
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

    /// Publishes what comes, until something ends it.
    pub(crate) async fn publish(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.step().await {
                return ended;
            }
        }
    }

    async fn step(&mut self) -> Result<(), Ended> {
        self.send_what_may_go().await?;
        let reads = self.waiting.is_empty() && self.has_room();
        let saves = self.saving.is_none() && self.is_unsaved();
        let (looks, sent) = (self.looking.is_none(), self.sent.0);
        tokio::select! {
            Some(acknowledged) = self.on_their_way.next() => self.note(acknowledged?)?,
            () = Events::wait(&self.tail, sent), if reads => {}
            saved = done(&mut self.saving) => self.note_saved(saved?),
            seen = done(&mut self.looking) => self.note_seen(seen?)?,
            () = sleep_until(self.saved_at + SAVED_EVERY), if saves => self.save(),
            () = sleep_until(self.looked_at + LOOKED_EVERY), if looks => self.look(),
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.on_their_way.len() < MAX_IN_FLIGHT && self.bytes < MAX_BYTES
    }

    fn is_unsaved(&self) -> bool {
        self.acknowledged != self.saved
    }

    /// Sends events, without waiting for their acknowledgements, as long as there are some and there is room.
    async fn send_what_may_go(&mut self) -> Result<(), Ended> {
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

    async fn send(&mut self, event: &StoredEvent) -> Result<(), Ended> {
        let message = outgoing(event, self.sent.1, self.key);
        let sent = Sent {
            event: Checkpoint {
                position: event.position,
                hash: event.hash,
            },
            sequence: self.sent.1 + 1,
            bytes: message.body.len() + MAX_HEADERS,
        };
        let (subject, headers, body) = (message.subject, message.headers, message.body);
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

    fn note(&mut self, (sent, said): (Sent, PublishAck)) -> Result<(), Ended> {
        // A message that was known already has its first sequence: the right one, or the stream is not what it was.
        if said.sequence != sent.sequence {
            return Err(Ended::Overtaken);
        }
        self.bytes = self.bytes.saturating_sub(sent.bytes);
        self.acknowledged = RelayCheckpoint {
            position: sent.event.position,
            hash: sent.event.hash,
            last_sequence: sent.sequence,
            ..self.acknowledged
        };
        self.progress.acknowledges(sent.event.position);
        metrics::counter!("roentgen_relay_published_total").increment(1);
        Ok(())
    }

    /// Begins to write down what was acknowledged. It is a task of its own: on SQLite it takes a turn that appends wait
    /// for, and would keep it for as long as nobody polls.
    fn save(&mut self) {
        let (from, to) = (self.saved, self.acknowledged);
        let (engine, tasks) = (Arc::clone(&self.engine), self.tasks);
        let write = async move { engine.advance_relay(RELAY, Some(&from), &to).await };
        self.saving = Some(Box::pin(async move {
            let moved = match tasks.run_beside(write).await {
                Some(moved) => moved?,
                None => return Err(Ended::NotLeading),
            };
            if !moved {
                tracing::warn!("another node moved the relay's checkpoint");
                return Err(Ended::Overtaken);
            }
            Ok(to)
        }));
    }

    fn note_saved(&mut self, saved: RelayCheckpoint) {
        self.saved = saved;
        self.saved_at = Instant::now();
    }

    /// Begins to look at the stream.
    fn look(&mut self) {
        let (jetstream, acknowledged) = (self.jetstream, self.acknowledged);
        self.looking = Some(Box::pin(async move {
            Ok((acknowledged, stream::found(jetstream).await?))
        }));
    }

    /// Whether the stream is still the one that was opened, and nobody else has written to it.
    fn note_seen(
        &mut self,
        (acknowledged, info): (RelayCheckpoint, Option<Info>),
    ) -> Result<(), Ended> {
        let seen = stream::seen(&info.ok_or(Ended::Overtaken)?);
        fit::holds(&acknowledged, &seen)?;
        if seen.last_sequence > self.sent.1 {
            return Err(Ended::Overtaken);
        }
        self.looked_at = Instant::now();
        Ok(())
    }

    /// Writes down what was acknowledged; where that fails, the stream says it the next time.
    pub(crate) async fn close(mut self) {
        match tokio::time::timeout(LAST_SAVE, self.save_the_last()).await {
            Ok(Err(Ended::Engine(error))) => {
                let error = causes(&error);
                tracing::warn!(error, "the relay's checkpoint stays behind");
            }
            Err(error) => tracing::warn!(%error, "the relay's checkpoint stays behind"),
            Ok(
                Ok(())
                | Err(
                    Ended::NotLeading
                    | Ended::Overtaken
                    | Ended::Lost
                    | Ended::Away(_)
                    | Ended::Refused(_),
                ),
            ) => {}
        }
    }

    async fn save_the_last(&mut self) -> Result<(), Ended> {
        while self.saving.is_some() || self.is_unsaved() {
            if self.saving.is_none() {
                self.save();
            }
            let saved = done(&mut self.saving).await?;
            self.note_saved(saved);
        }
        Ok(())
    }
}

/// Waits for what goes on aside, for ever where nothing does. A wait that is dropped drops nothing else: the next one
/// takes it up.
async fn done<T>(aside: &mut Aside<'_, T>) -> Result<T, Ended> {
    let Some(under_way) = aside else {
        return std::future::pending().await;
    };
    let done = under_way.await;
    *aside = None;
    done
}

/// An event that the server would not take could never be passed.
fn can_take_every_event(max_payload: usize) -> Result<(), Refused> {
    let needed = MAX_EVENT_BYTES + MAX_HEADERS;
    if max_payload >= needed {
        return Ok(());
    }
    Err(Refused::StreamUnfit {
        reason: format!(
            "the server takes {max_payload} bytes a message (max_payload), and an event may need {needed}"
        ),
    })
}

/// Where publishing goes on. The checkpoint is read before the stream is looked at: it cannot be ahead then.
async fn whereabouts(
    engine: &Arc<dyn Engine>,
    jetstream: &Context,
    settings: &StreamSettings,
) -> Result<RelayCheckpoint, Ended> {
    let left = engine.relay(RELAY).await?;
    if let Some(left) = &left {
        let ahead = mismatch(&**engine, RELAY, left.place()).await?;
        ahead.map_or(Ok(()), |it| Err(Refused::from(it)))?;
    }
    let seen = stream::seen(&stream::ensured(jetstream, settings, left.as_ref()).await?);
    if let Some(left) = &left {
        fit::holds(left, &seen)?;
    }
    let here = match fit::without_last(left.as_ref(), &seen) {
        Some(here) => here,
        None => {
            let last = stream::last(jetstream, engine, seen.last_sequence).await?;
            fit::after_last(left.as_ref(), &seen, last)?
        }
    };
    if left != Some(here) && !engine.advance_relay(RELAY, left.as_ref(), &here).await? {
        return Err(Ended::Overtaken);
    }
    Ok(here)
}
