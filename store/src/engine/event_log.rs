//! The log: appends, reads, and the reservations that appends make.

use std::fmt::Debug;

use async_trait::async_trait;
use roentgen_domain::ids::StreamId;

use crate::chain::Head;
use crate::error::EngineError;
use crate::log::{
    AppendBatch, BatchOutcome, HeldReservation, LogFilter, LogPage, ReservationKey, StoredEvent,
    StreamTails,
};
use crate::readers::Scope;

/// Notifications from other nodes.
#[async_trait]
pub trait NotificationStream: Send {
    /// Waits for the next notification from another node.
    async fn next(&mut self) -> Result<(), EngineError>;
}

/// The log: appends, reads, and the reservations that appends make.
///
/// # Errors
///
/// As described at [`Engine`](super::Engine).
#[async_trait]
pub trait EventLog: Debug + Send + Sync + 'static {
    /// Returns the position and chain hash of the last event.
    async fn head(&self) -> Result<Head, EngineError>;

    /// Returns the event at a position, if any.
    async fn event_at(&self, position: u64) -> Result<Option<StoredEvent>, EngineError>;

    /// Returns a stream's events with `after_version < version`, in order, at most `limit`; none if the stream is not
    /// in scope.
    async fn read_stream(
        &self,
        scope: Scope,
        stream_id: StreamId,
        after_version: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError>;

    /// Returns events with `after < position` that pass the filter, in order, at most `limit`. A page covers at most
    /// `MAX_POSITIONS_PER_PAGE` positions and ends with the event that brings it to `MAX_PAGE_BYTES` or more.
    async fn read_log(
        &self,
        after: u64,
        limit: u32,
        filter: &LogFilter,
    ) -> Result<LogPage, EngineError>;

    /// Returns the number of streams of a type whose first event is at or before a position.
    async fn count_streams(&self, stream_type: &str, upto: u64) -> Result<u64, EngineError>;

    /// Returns the remaining events of these streams: those after the first event, up to a position.
    async fn stream_tails(
        &self,
        streams: &[StreamId],
        upto: u64,
    ) -> Result<StreamTails, EngineError>;

    /// Compares the versions and positions stored for streams with the log's events, for `verify`. Returns the first
    /// position at which they disagree, or `None` if they agree.
    async fn first_stream_mismatch(&self) -> Result<Option<u64>, EngineError>;

    /// Writes a batch under the append lock, in one round trip. Each append is atomic.
    async fn append(&self, batch: &AppendBatch<'_>) -> Result<BatchOutcome, EngineError>;

    /// Notifies other nodes that the log has grown.
    async fn notify_appended(&self) -> Result<(), EngineError>;

    /// Starts listening for notifications of other nodes; `None` if the engine has no notifications.
    async fn listen(&self) -> Result<Option<Box<dyn NotificationStream>>, EngineError>;

    /// Returns the stored outcome of a reservation; `None` if the key is free or has expired at `now_ms`.
    async fn reservation(
        &self,
        key: ReservationKey,
        now_ms: i64,
    ) -> Result<Option<HeldReservation>, EngineError>;

    /// Deletes at most `limit` reservations that have expired at `now_ms`. Returns the number deleted.
    async fn delete_expired_reservations(
        &self,
        now_ms: i64,
        limit: u32,
    ) -> Result<u64, EngineError>;
}
