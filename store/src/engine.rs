//! What a database must do for us. SQLite and PostgreSQL do it; one contract suite proves both.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use roentgen_domain::ids::{PatientId, SecretId, StreamId, TenantId};
use uuid::Uuid;

use crate::error::EngineError;
use crate::log::{
    Batch, BatchOutcome, ClaimHeld, ClaimKey, Head, LogFilter, LogPage, StoredEvent, WrappedKey,
};
use crate::memory::{Memory, MemoryBatch, RefusedEffect};
use crate::model::{Checkpoint, ListQuery, Model, Parked, ProjectionBatch, Replay, Row};
use crate::neighbours::Hearing;
use crate::relayed::RelayCheckpoint;
use crate::secrets::SealedSecret;

/// One database with a log and read models in it. Calls are cancel-safe: a dropped future leaves nothing half done.
#[async_trait]
pub trait Engine: Debug + Send + Sync + 'static {
    /// Brings the schema up to date, as the database's owner.
    async fn migrate(&self) -> Result<(), EngineError>;

    /// Answers where the database does: for readiness.
    async fn ping(&self) -> Result<(), EngineError>;

    // ---- the log -------------------------------------------------------------------------------------------------

    /// Writes a batch under the append lock, in one round trip: each append as a whole or not at all.
    async fn append(&self, batch: &Batch<'_>) -> Result<BatchOutcome, EngineError>;

    /// The last event's place and link.
    async fn head(&self) -> Result<Head, EngineError>;

    /// Tells other nodes that the log has grown.
    async fn tell(&self) -> Result<(), EngineError>;

    /// Begins to hear other nodes; `None` where nodes do not hear each other.
    async fn hearing(&self) -> Result<Option<Box<dyn Hearing>>, EngineError>;

    /// One event.
    async fn event_at(&self, position: u64) -> Result<Option<StoredEvent>, EngineError>;

    /// A stream's events with `after < version`, in order, at most `limit`.
    async fn stream(
        &self,
        stream_id: StreamId,
        after_version: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError>;

    /// Events with `after < position` that pass the filter, in order, at most `limit`, looking at no more than
    /// `MAX_SCAN` positions; a page ends with the event that makes it `MAX_PAGE_BYTES` or more.
    async fn page(
        &self,
        after: u64,
        limit: u32,
        filter: &LogFilter,
    ) -> Result<LogPage, EngineError>;

    /// Compares the streams' own counts with the log's events, for `verify`: the position of the first event that
    /// should be there or should not, or `None` where all agree.
    async fn first_disagreement(&self) -> Result<Option<u64>, EngineError>;

    /// What a claim says, where it is taken and not expired at `now_ms`.
    async fn claim(&self, key: ClaimKey, now_ms: i64) -> Result<Option<ClaimHeld>, EngineError>;

    /// Forgets claims that are expired at `now_ms`, at most `limit` of them. Returns how many.
    async fn forget_expired_claims(&self, now_ms: i64, limit: u32) -> Result<u64, EngineError>;

    // ---- keys ----------------------------------------------------------------------------------------------------

    /// The patients' keys, one answer each, in order.
    async fn patient_keys(
        &self,
        patients: &[(TenantId, PatientId)],
    ) -> Result<Vec<Option<WrappedKey>>, EngineError>;

    /// The fingerprint of the master key that this database was first opened with; `candidate` becomes it where there
    /// was none.
    async fn master_key_fingerprint(&self, candidate: &[u8]) -> Result<Vec<u8>, EngineError>;

    /// Keeps a sealed secret under a fresh id.
    async fn put_secret(&self, secret: &SealedSecret) -> Result<(), EngineError>;

    /// A tenant's secret, sealed, where there is one.
    async fn secret(&self, tenant: TenantId, id: SecretId) -> Result<Option<Vec<u8>>, EngineError>;

    // ---- read models ---------------------------------------------------------------------------------------------

    /// Creates the model's table and indexes where they are not there.
    async fn create_model(&self, model: &Model) -> Result<(), EngineError>;

    /// A projection's checkpoint; position 0 and 32 zero bytes where it has none.
    async fn checkpoint(&self, projection: &str) -> Result<Checkpoint, EngineError>;

    /// Rows by id, in no order; those that are not there are left out.
    async fn rows(&self, model: &Model, ids: &[Uuid]) -> Result<Vec<Row>, EngineError>;

    /// Writes rows and moves the checkpoint in one transaction, by compare-and-set on the old checkpoint. `false` where
    /// another had moved it, or a stream that was left out is parked no more: nothing was written.
    async fn project(&self, batch: &ProjectionBatch<'_>) -> Result<bool, EngineError>;

    /// A page of rows, ordered by `sort_key`.
    async fn list(&self, query: &ListQuery<'_>) -> Result<Vec<Row>, EngineError>;

    /// What a projection has parked.
    async fn parked(&self, projection: &str) -> Result<Vec<Parked>, EngineError>;

    /// Writes a parked stream's rows and lets it go, or says from where on it is parked now, in one transaction that holds
    /// the checkpoint still. `false` where the stream is not parked there any more, or the checkpoint has passed an event
    /// of it that the rows have not seen: nothing was written.
    async fn replay(&self, replay: &Replay<'_>) -> Result<bool, EngineError>;

    // ---- subscriptions ---------------------------------------------------------------------------------------------

    /// Remembered values by id, in no order; those that are not there are left out.
    async fn memories(&self, ids: &[Uuid]) -> Result<Vec<Memory>, EngineError>;

    /// The timers that fall due first, in order, at most `limit`.
    async fn earliest_due(&self, limit: u32) -> Result<Vec<Memory>, EngineError>;

    /// Writes what a subscription remembers and moves its checkpoint in one transaction, by compare-and-set on the old
    /// checkpoint. `false` where another had moved it: nothing was written.
    async fn remember(&self, batch: &MemoryBatch<'_>) -> Result<bool, EngineError>;

    /// The effects that were refused for good, latest first, at most `limit`.
    async fn refused_effects(&self, limit: u32) -> Result<Vec<RefusedEffect>, EngineError>;

    // ---- relays --------------------------------------------------------------------------------------------------

    /// How far the relay `name` is; `None` before its first start.
    async fn relay(&self, name: &str) -> Result<Option<RelayCheckpoint>, EngineError>;

    /// Moves the relay `name`, by compare-and-set on where it stood (`None`: nowhere yet). `false` where another had
    /// moved it.
    async fn advance_relay(
        &self,
        name: &str,
        from: Option<&RelayCheckpoint>,
        to: &RelayCheckpoint,
    ) -> Result<bool, EngineError>;

    // ---- leases --------------------------------------------------------------------------------------------------

    /// Takes or renews the lease `name` for `ttl`, by the database's clock. `false` where another holds it.
    async fn lease(&self, name: &str, holder: Uuid, ttl: Duration) -> Result<bool, EngineError>;

    /// Gives the lease back, where `holder` holds it.
    async fn release_lease(&self, name: &str, holder: Uuid) -> Result<(), EngineError>;

    /// Closes all connections.
    async fn close(&self);
}

/// How many positions one page of the log looks at, at the most.
pub const MAX_SCAN: u64 = 100_000;

/// How much one page of the log holds in memory: events may be 256 KiB each.
pub const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;
