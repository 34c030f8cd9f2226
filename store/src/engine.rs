//! The interface of a database engine. SQLite and PostgreSQL implement it; one contract test suite covers both.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use roentgen_domain::ids::{PatientId, SecretId, StreamId, TenantId};
use uuid::Uuid;

use crate::archive::{ArchivedPartition, LogPartition};
use crate::error::EngineError;
use crate::generation::{self, Generation, GenerationState, LiveTables, NewGeneration};
use crate::keys::{KeyBinding, KeyMismatch};
use crate::log::{
    AppendBatch, BatchOutcome, Head, HeldReservation, KeyState, KnownKeys, LogFilter, LogPage,
    RegisteredKey, ReservationKey, StoredEvent, StreamTails,
};
use crate::notify::NotificationStream;
use crate::policy_memory::{MemoryBatch, MemoryEntry, RejectedEffect};
use crate::read_model::{
    Checkpoint, ListQuery, ParkedRetry, ParkedStream, ProjectionBatch, ReadModel, Row, Table,
};
use crate::reads::{Readers, Scope};
use crate::relay_checkpoint::RelayCheckpoint;
use crate::rights::{Login, Rights};
use crate::secrets::SealedSecret;

/// Name of the stored flag that records that the database was served only with token authentication.
pub(crate) const SERVED_WITH_TOKENS: &str = "served_with_tokens";

/// A database with a log and read models. Calls are cancel-safe: a dropped future leaves no partial change.
///
/// # Errors
///
/// Every call can fail with [`EngineError::Unavailable`] (no connection, a lock, a timeout; nothing took effect),
/// [`EngineError::ConnectionLost`] (a write may have taken effect), [`EngineError::Rejected`] (the database would
/// reject the statement again; nothing took effect) and [`EngineError::Corrupt`] (stored data cannot be right). Reads
/// of the log that reach into an archive fail with [`EngineError::Archived`]. Appends for a patient whose registered
/// key is missing fail with [`EngineError::KeyMissing`]. Reads of a read model without a live generation fail with
/// [`EngineError::ReadModelNotReady`].
#[async_trait]
pub trait Engine: Debug + Send + Sync + 'static {
    /// Migrates the schema to this release, as the owner of the database.
    async fn migrate(&self) -> Result<(), EngineError>;

    /// Returns the rights that a login has but must not or should not have. [`Login::Server`] requires a migrated
    /// schema.
    async fn rights(&self, login: Login) -> Result<Rights, EngineError> {
        let _ = login;
        Ok(Rights::default())
    }

    /// Checks that the database responds, for readiness.
    async fn ping(&self) -> Result<(), EngineError>;

    // ---- the log -------------------------------------------------------------------------------------------------

    /// Writes a batch under the append lock, in one round trip. Each append is atomic.
    async fn append(&self, batch: &AppendBatch<'_>) -> Result<BatchOutcome, EngineError>;

    /// Returns the position and chain hash of the last event.
    async fn head(&self) -> Result<Head, EngineError>;

    /// Notifies other nodes that the log has grown.
    async fn notify_appended(&self) -> Result<(), EngineError>;

    /// Starts listening for notifications of other nodes; `None` if the engine has no notifications.
    async fn listen(&self) -> Result<Option<Box<dyn NotificationStream>>, EngineError>;

    /// Returns the event at a position, if any.
    async fn event_at(&self, position: u64) -> Result<Option<StoredEvent>, EngineError>;

    /// Returns the shares of readers. Engine calls do not take a share themselves: see [`crate::reads`].
    fn readers(&self) -> &Readers;

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

    /// Compares the versions and positions stored for streams with the log's events, for `verify`. Returns the first
    /// position at which they disagree, or `None` if they agree.
    async fn first_stream_mismatch(&self) -> Result<Option<u64>, EngineError>;

    /// Returns the archived partitions, from the start of the log. Positions below the last one's `past_position` can
    /// be read only with [`Engine::retained_events`]; other reads fail with [`EngineError::Archived`].
    async fn archives(&self) -> Result<Vec<ArchivedPartition>, EngineError>;

    /// Returns the oldest partition that is not archived; `None` if the log has no partitions.
    async fn oldest_partition(&self) -> Result<Option<LogPartition>, EngineError>;

    /// Archives the oldest partition, as the owner of the database. Returns the number of events below its end that are
    /// retained in the log.
    async fn archive_oldest(
        &self,
        archive: &ArchivedPartition,
        kept_types: &[&str],
    ) -> Result<u64, EngineError>;

    /// Returns archived events of streams that are still in use, with `after < position`, in order, at most `limit`.
    async fn retained_events(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError>;

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

    // ---- keys ----------------------------------------------------------------------------------------------------

    /// Returns the known keys of each patient, in the order of `patients`.
    async fn patient_keys(
        &self,
        patients: &[(TenantId, PatientId)],
    ) -> Result<Vec<KnownKeys>, EngineError>;

    /// Returns the states of these keys, in no particular order. A key that neither exists nor has a tombstone is left
    /// out.
    async fn keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyState>, EngineError>;

    /// Returns entries of the log's key register with `after < number`, in order, at most `limit`.
    async fn registered_keys(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RegisteredKey>, EngineError>;

    /// Returns the last entries of the log's key register, latest first, at most `limit`.
    async fn last_registered_keys(&self, limit: u32) -> Result<Vec<RegisteredKey>, EngineError>;

    /// Checks that log, keys and the master key's fingerprint belong together, and returns the mismatch, if any. With
    /// [`KeyBinding::Bind`], a log and keys that are not yet bound are bound to each other and to `fingerprint`.
    async fn tie_keys(
        &self,
        fingerprint: &[u8],
        tying: KeyBinding,
    ) -> Result<Option<KeyMismatch>, EngineError>;

    /// Returns the fingerprint of the key that signs this database's events. Stores `candidate` if there is none yet.
    async fn event_key_fingerprint(&self, candidate: &[u8]) -> Result<Vec<u8>, EngineError>;

    /// Records that the database is served only with token authentication.
    async fn mark_served_with_tokens(&self) -> Result<(), EngineError>;

    /// Returns whether the database was ever served only with token authentication.
    async fn was_served_with_tokens(&self) -> Result<bool, EngineError>;

    /// Stores a sealed secret under a new id.
    async fn put_secret(&self, secret: &SealedSecret) -> Result<(), EngineError>;

    /// Returns a tenant's secret, sealed, if it exists.
    async fn secret(&self, tenant: TenantId, id: SecretId) -> Result<Option<Vec<u8>>, EngineError>;

    // ---- read models ---------------------------------------------------------------------------------------------

    /// Returns the live table of each read model, as this process knows them.
    fn live_tables(&self) -> &LiveTables;

    /// Returns rows of a table by id, in no particular order. Rows that do not exist or are not in scope are left out.
    /// The result ends with the row that makes it larger than `most_bytes`.
    async fn read_rows(
        &self,
        scope: Scope,
        table: Table,
        ids: &[Uuid],
        most_bytes: usize,
    ) -> Result<Vec<Row>, EngineError>;

    /// Returns a page of a table's rows, ordered by `sort_key`. From the second row on, the page ends with the row that
    /// makes it larger than `MAX_PAGE_BYTES`.
    async fn list_rows(&self, table: Table, query: &ListQuery) -> Result<Vec<Row>, EngineError>;

    /// Returns rows of the live generation.
    async fn live_rows(
        &self,
        scope: Scope,
        model: &'static ReadModel,
        ids: &[Uuid],
    ) -> Result<Vec<Row>, EngineError> {
        let table = generation::live_table(self, model).await?;
        match self.read_rows(scope, table, ids, usize::MAX).await {
            Err(EngineError::Rejected(refused)) => {
                match generation::refresh_live_table(self, table).await? {
                    Some(now) => self.read_rows(scope, now, ids, usize::MAX).await,
                    None => Err(EngineError::Rejected(refused)),
                }
            }
            found => found,
        }
    }

    /// Returns a page of the live generation.
    async fn live_list(&self, query: &ListQuery) -> Result<Vec<Row>, EngineError> {
        let table = generation::live_table(self, query.model).await?;
        match self.list_rows(table, query).await {
            Err(EngineError::Rejected(refused)) => {
                match generation::refresh_live_table(self, table).await? {
                    Some(now) => self.list_rows(now, query).await,
                    None => Err(EngineError::Rejected(refused)),
                }
            }
            found => found,
        }
    }

    /// Writes rows and advances the tables' checkpoints in one transaction, by compare-and-set on each checkpoint.
    /// Returns `false` and writes nothing if a checkpoint is superseded, a table is no longer live or being filled, or
    /// a skipped stream is no longer parked.
    async fn write_projection(&self, batch: &ProjectionBatch) -> Result<bool, EngineError>;

    /// Returns all parked streams.
    async fn parked(&self) -> Result<Vec<ParkedStream>, EngineError>;

    /// Writes a parked stream's rows and unparks the stream, or stores the new position from which it is parked, in one
    /// transaction that locks the checkpoint. Returns `false` and writes nothing if the stream is no longer parked at
    /// that position, or if the checkpoint has passed an event of the stream that the rows do not include.
    async fn write_parked_retry(&self, replay: &ParkedRetry<'_>) -> Result<bool, EngineError>;

    // ---- generations of read models --------------------------------------------------------------------------------

    /// Returns all generations, ordered by name.
    async fn generations(&self) -> Result<Vec<Generation>, EngineError>;

    /// Creates generations, all in one transaction, with checkpoints at the start of the log. A generation that already
    /// exists, or whose schema already has a generation in that state, is left unchanged.
    async fn create_generations(&self, generations: &[NewGeneration]) -> Result<(), EngineError>;

    /// Creates missing tables, without their indexes. Existing tables of an earlier release get the storage settings of
    /// this release.
    async fn create_tables(&self, tables: &[Table]) -> Result<(), EngineError>;

    /// Creates missing indexes of the tables, including the key's index if the key is built as one.
    async fn create_indexes(&self, tables: &[Table]) -> Result<(), EngineError>;

    /// Advances a generation to the next build state. Returns `false` if it is in another state or does not exist.
    async fn advance_generation(
        &self,
        table: Table,
        from: &GenerationState,
        to: &GenerationState,
    ) -> Result<bool, EngineError>;

    /// Swaps in a joining generation and retires the previous live one of its schema, in one transaction. Returns
    /// `false` and changes nothing if the generation is not joining, or if its checkpoint is behind that of the
    /// previous one.
    async fn swap_live_generation(&self, table: Table) -> Result<bool, EngineError>;

    /// Deletes a generation that is not live, and drops its tables and its parked streams. Returns `false` if the
    /// generation is live or does not exist.
    async fn drop_generation(&self, generation: &Generation) -> Result<bool, EngineError>;

    /// Returns the number of rows in a table.
    async fn count_rows(&self, table: Table) -> Result<u64, EngineError>;

    /// Returns the number of streams of a type whose first event is at or before a position.
    async fn count_streams(&self, stream_type: &str, upto: u64) -> Result<u64, EngineError>;

    /// Returns the remaining events of these streams: those after the first event, up to a position.
    async fn stream_tails(
        &self,
        streams: &[StreamId],
        upto: u64,
    ) -> Result<StreamTails, EngineError>;

    // ---- checkpoints -----------------------------------------------------------------------------------------------

    /// Returns a subscription's checkpoint; position 0 and 32 zero bytes if it has none.
    async fn checkpoint(&self, subscription: &str) -> Result<Checkpoint, EngineError>;

    // ---- subscriptions ---------------------------------------------------------------------------------------------

    /// Returns policy memory by id, in no particular order. Ids that do not exist are left out.
    async fn policy_memory(&self, ids: &[Uuid]) -> Result<Vec<MemoryEntry>, EngineError>;

    /// Returns the timers with the earliest due times, in order, at most `limit`.
    async fn due_timers(&self, limit: u32) -> Result<Vec<MemoryEntry>, EngineError>;

    /// Writes policy memory and advances the subscription's checkpoint in one transaction, by compare-and-set on the
    /// old checkpoint. Returns `false` and writes nothing if the checkpoint is superseded.
    async fn write_policy_memory(&self, batch: &MemoryBatch<'_>) -> Result<bool, EngineError>;

    /// Returns the permanently rejected effects, latest first, at most `limit`.
    async fn rejected_effects(&self, limit: u32) -> Result<Vec<RejectedEffect>, EngineError>;

    // ---- relays --------------------------------------------------------------------------------------------------

    /// Returns the checkpoint of the relay `name`; `None` before its first start.
    async fn relay_checkpoint(&self, name: &str) -> Result<Option<RelayCheckpoint>, EngineError>;

    /// Advances the checkpoint of the relay `name`, by compare-and-set on `from` (`None`: no checkpoint yet). Returns
    /// `false` if the checkpoint is superseded.
    async fn advance_relay(
        &self,
        name: &str,
        from: Option<&RelayCheckpoint>,
        to: &RelayCheckpoint,
    ) -> Result<bool, EngineError>;

    // ---- leases --------------------------------------------------------------------------------------------------

    /// Acquires or renews these leases for `ttl`, by the database's clock. Returns the leases that `holder` now holds.
    async fn acquire_leases(
        &self,
        names: &[String],
        holder: Uuid,
        ttl: Duration,
    ) -> Result<Vec<String>, EngineError>;

    /// Releases all leases of `holder`.
    async fn release_leases(&self, holder: Uuid) -> Result<(), EngineError>;

    /// Returns whether any node holds the lease `name`.
    async fn is_leased(&self, name: &str) -> Result<bool, EngineError>;

    /// Closes all connections.
    async fn close(&self);
}

/// Maximum number of positions that one page of the log covers.
pub const MAX_POSITIONS_PER_PAGE: u64 = 100_000;

/// Size of one page of the log in memory, in bytes; a single event may have 256 KiB.
pub const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;
