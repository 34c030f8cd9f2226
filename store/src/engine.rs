//! What a database must do for us. SQLite and PostgreSQL do it; one contract suite proves both.

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

/// The name of the mark of a database that was served to callers with tokens only.
pub(crate) const SERVED_WITH_TOKENS: &str = "served_with_tokens";

/// One database with a log and read models in it. Calls are cancel-safe: a dropped future leaves nothing half done.
///
/// # Errors
///
/// Every call can fail with [`EngineError::Unavailable`] (no connection, a lock, a timeout; nothing took effect),
/// [`EngineError::ConnectionLost`] (a write may have taken effect), [`EngineError::Rejected`] (the database will reject the
/// statement again; nothing took effect) and [`EngineError::Corrupt`] (stored data cannot be right). Reads of the log that
/// reach into an archive fail with [`EngineError::Archived`], appends for a patient whose registered key is missing with
/// [`EngineError::KeyMissing`]; reads of a read model that has no live generation yet with
/// [`EngineError::ReadModelNotReady`].
#[async_trait]
pub trait Engine: Debug + Send + Sync + 'static {
    /// Brings the schema up to date, as the database's owner.
    async fn migrate(&self) -> Result<(), EngineError>;

    /// What a login of this database may do that it must not, and should not. Needs a migrated schema for
    /// [`Login::Server`].
    async fn rights(&self, login: Login) -> Result<Rights, EngineError> {
        let _ = login;
        Ok(Rights::default())
    }

    /// Answers where the database does: for readiness.
    async fn ping(&self) -> Result<(), EngineError>;

    // ---- the log -------------------------------------------------------------------------------------------------

    /// Writes a batch under the append lock, in one round trip: each append as a whole or not at all.
    async fn append(&self, batch: &AppendBatch<'_>) -> Result<BatchOutcome, EngineError>;

    /// The last event's place and link.
    async fn head(&self) -> Result<Head, EngineError>;

    /// Tells other nodes that the log has grown.
    async fn notify_appended(&self) -> Result<(), EngineError>;

    /// Begins to hear other nodes; `None` where nodes do not hear each other.
    async fn listen(&self) -> Result<Option<Box<dyn NotificationStream>>, EngineError>;

    /// One event.
    async fn event_at(&self, position: u64) -> Result<Option<StoredEvent>, EngineError>;

    /// The readers that tenants share. A call does not take its turn by itself: see [`crate::reads`].
    fn readers(&self) -> &Readers;

    /// A stream's events with `after < version`, in order, at most `limit`; none if the stream is not in scope.
    async fn read_stream(
        &self,
        scope: Scope,
        stream_id: StreamId,
        after_version: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError>;

    /// Events with `after < position` that pass the filter, in order, at most `limit`, looking at no more than
    /// `MAX_POSITIONS_PER_PAGE` positions; a page ends with the event that makes it `MAX_PAGE_BYTES` or more.
    async fn read_log(
        &self,
        after: u64,
        limit: u32,
        filter: &LogFilter,
    ) -> Result<LogPage, EngineError>;

    /// Compares the streams' own counts with the log's events, for `verify`: the position of the first event that
    /// should be there or should not, or `None` where all agree.
    async fn first_stream_mismatch(&self) -> Result<Option<u64>, EngineError>;

    /// What was archived, from the log's beginning on. Positions below the last one's `past_position` are read only
    /// through [`Engine::retained_events`]; all else says [`EngineError::Archived`].
    async fn archives(&self) -> Result<Vec<ArchivedPartition>, EngineError>;

    /// The oldest partition that is not archived; `None` where the log has no partitions.
    async fn oldest_partition(&self) -> Result<Option<LogPartition>, EngineError>;

    /// Archives the oldest partition, as the database's owner. Returns how many events below its end are kept in the
    /// log.
    async fn archive_oldest(
        &self,
        archive: &ArchivedPartition,
        kept_types: &[&str],
    ) -> Result<u64, EngineError>;

    /// Archived events of streams that are still in use, with `after < position`, in order, at most `limit`.
    async fn retained_events(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError>;

    /// What a claim says, where it is taken and not expired at `now_ms`.
    async fn reservation(
        &self,
        key: ReservationKey,
        now_ms: i64,
    ) -> Result<Option<HeldReservation>, EngineError>;

    /// Forgets claims that are expired at `now_ms`, at most `limit` of them. Returns how many.
    async fn delete_expired_reservations(
        &self,
        now_ms: i64,
        limit: u32,
    ) -> Result<u64, EngineError>;

    // ---- keys ----------------------------------------------------------------------------------------------------

    /// What is known of the patients' keys, one answer each, in order.
    async fn patient_keys(
        &self,
        patients: &[(TenantId, PatientId)],
    ) -> Result<Vec<KnownKeys>, EngineError>;

    /// What became of these keys, in no order; a key that is neither there nor has a tombstone is left out.
    async fn keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyState>, EngineError>;

    /// Entries of the log's list of keys with `after < number`, in order, at most `limit`.
    async fn registered_keys(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RegisteredKey>, EngineError>;

    /// The last entries of the log's list of keys, the latest first, at most `limit`.
    async fn last_registered_keys(&self, limit: u32) -> Result<Vec<RegisteredKey>, EngineError>;

    /// Compares log, keys and the master key's fingerprint with one another, and says how they do not belong together.
    /// With [`KeyBinding::Bind`] a log and keys that no start has tied yet are tied to one another and to
    /// `fingerprint`.
    async fn tie_keys(
        &self,
        fingerprint: &[u8],
        tying: KeyBinding,
    ) -> Result<Option<KeyMismatch>, EngineError>;

    /// The fingerprint of the key that signs this database's events; `candidate` becomes it if there was none.
    async fn event_key_fingerprint(&self, candidate: &[u8]) -> Result<Vec<u8>, EngineError>;

    /// Records that the database is served to callers with tokens only.
    async fn mark_served_with_tokens(&self) -> Result<(), EngineError>;

    /// Whether that was ever recorded.
    async fn was_served_with_tokens(&self) -> Result<bool, EngineError>;

    /// Keeps a sealed secret under a fresh id.
    async fn put_secret(&self, secret: &SealedSecret) -> Result<(), EngineError>;

    /// A tenant's secret, sealed, where there is one.
    async fn secret(&self, tenant: TenantId, id: SecretId) -> Result<Option<Vec<u8>>, EngineError>;

    // ---- read models ---------------------------------------------------------------------------------------------

    /// Which table this process reads of each model.
    fn live_tables(&self) -> &LiveTables;

    /// A table's rows by id, in no order; those that are not there, or not in scope, are left out. It ends with the row
    /// that makes them heavier than `most_bytes`.
    async fn read_rows(
        &self,
        scope: Scope,
        table: Table,
        ids: &[Uuid],
        most_bytes: usize,
    ) -> Result<Vec<Row>, EngineError>;

    /// A page of a table's rows, ordered by `sort_key`. From the second row on it ends with the row that makes it
    /// heavier than `MAX_PAGE_BYTES`.
    async fn list_rows(&self, table: Table, query: &ListQuery) -> Result<Vec<Row>, EngineError>;

    /// Rows of the generation that is read.
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

    /// A page of the generation that is read.
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

    /// Writes rows and moves the tables' checkpoints in one transaction, by compare-and-set on each. `false` where one
    /// was elsewhere, its table is filled or read no more, or a stream that was left out is parked no more: nothing was
    /// written.
    async fn write_projection(&self, batch: &ProjectionBatch) -> Result<bool, EngineError>;

    /// All parked streams.
    async fn parked(&self) -> Result<Vec<ParkedStream>, EngineError>;

    /// Writes a parked stream's rows and lets it go, or says from where on it is parked now, in one transaction that
    /// holds the checkpoint still. `false` where the stream is not parked there any more, or the checkpoint has passed
    /// an event of it that the rows have not seen: nothing was written.
    async fn write_parked_retry(&self, replay: &ParkedRetry<'_>) -> Result<bool, EngineError>;

    // ---- generations of read models --------------------------------------------------------------------------------

    /// All of them, by name.
    async fn generations(&self) -> Result<Vec<Generation>, EngineError>;

    /// Writes down new generations, all at once, at the log's beginning; those that are there, or whose shape has one
    /// in that state, are left as they are.
    async fn create_generations(&self, generations: &[NewGeneration]) -> Result<(), EngineError>;

    /// Creates tables where they are not there, without their indexes. Tables of an earlier release that are there are
    /// stored from now on as this one stores them.
    async fn create_tables(&self, tables: &[Table]) -> Result<(), EngineError>;

    /// Creates the tables' indexes where they are not there, that of the key too where it is one.
    async fn create_indexes(&self, tables: &[Table]) -> Result<(), EngineError>;

    /// Moves a generation from one state of its making to the next. `false` where it is in another state, or gone.
    async fn advance_generation(
        &self,
        table: Table,
        from: &GenerationState,
        to: &GenerationState,
    ) -> Result<bool, EngineError>;

    /// Makes a joining generation the live one of its shape, and retires the one before, in one transaction. `false`
    /// where it is not joining, or has seen less than the one before: nothing changed.
    async fn swap_live_generation(&self, table: Table) -> Result<bool, EngineError>;

    /// Forgets a generation that is not live, and drops its tables with what is parked of them. `false` where it became
    /// live, or is gone.
    async fn drop_generation(&self, generation: &Generation) -> Result<bool, EngineError>;

    /// How many rows a table has.
    async fn count_rows(&self, table: Table) -> Result<u64, EngineError>;

    /// How many streams of a type began at or before a position.
    async fn count_streams(&self, stream_type: &str, upto: u64) -> Result<u64, EngineError>;

    /// What these streams have after their first events and up to a position.
    async fn stream_tails(
        &self,
        streams: &[StreamId],
        upto: u64,
    ) -> Result<StreamTails, EngineError>;

    // ---- checkpoints -----------------------------------------------------------------------------------------------

    /// A subscription's checkpoint; position 0 and 32 zero bytes where it has none.
    async fn checkpoint(&self, subscription: &str) -> Result<Checkpoint, EngineError>;

    // ---- subscriptions ---------------------------------------------------------------------------------------------

    /// Remembered values by id, in no order; those that are not there are left out.
    async fn policy_memory(&self, ids: &[Uuid]) -> Result<Vec<MemoryEntry>, EngineError>;

    /// The timers that fall due first, in order, at most `limit`.
    async fn due_timers(&self, limit: u32) -> Result<Vec<MemoryEntry>, EngineError>;

    /// Writes what a subscription remembers and moves its checkpoint in one transaction, by compare-and-set on the old
    /// checkpoint. `false` where another had moved it: nothing was written.
    async fn write_policy_memory(&self, batch: &MemoryBatch<'_>) -> Result<bool, EngineError>;

    /// The effects that were refused for good, latest first, at most `limit`.
    async fn rejected_effects(&self, limit: u32) -> Result<Vec<RejectedEffect>, EngineError>;

    // ---- relays --------------------------------------------------------------------------------------------------

    /// How far the relay `name` is; `None` before its first start.
    async fn relay_checkpoint(&self, name: &str) -> Result<Option<RelayCheckpoint>, EngineError>;

    /// Moves the relay `name`, by compare-and-set on where it stood (`None`: nowhere yet). `false` where another had
    /// moved it.
    async fn advance_relay(
        &self,
        name: &str,
        from: Option<&RelayCheckpoint>,
        to: &RelayCheckpoint,
    ) -> Result<bool, EngineError>;

    // ---- leases --------------------------------------------------------------------------------------------------

    /// Takes or renews these leases for `ttl`, by the database's clock. Returns those that `holder` holds now.
    async fn acquire_leases(
        &self,
        names: &[String],
        holder: Uuid,
        ttl: Duration,
    ) -> Result<Vec<String>, EngineError>;

    /// Gives the leases back that `holder` holds.
    async fn release_leases(&self, holder: Uuid) -> Result<(), EngineError>;

    /// Whether somebody holds the lease `name`.
    async fn is_leased(&self, name: &str) -> Result<bool, EngineError>;

    /// Closes all connections.
    async fn close(&self);
}

/// How many positions one page of the log looks at, at the most.
pub const MAX_POSITIONS_PER_PAGE: u64 = 100_000;

/// How much one page of the log holds in memory: events may be 256 KiB each.
pub const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;
