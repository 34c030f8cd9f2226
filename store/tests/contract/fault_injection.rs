//! An engine that wraps another one and fails or waits on request.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use roentgen_domain::ids::{PatientId, SecretId, StreamId, TenantId};
use roentgen_store::archive::{ArchivedPartition, LogPartition};
use roentgen_store::chain::Head;
use roentgen_store::engine::{
    Engine, EventLog, GenerationStore, KeyBinding, KeyStore, LeaseStore, LogArchive,
    NotificationStream, ReadModelStore, SealedSecret, SubscriptionStore,
};
use roentgen_store::error::{EngineError, KeyMismatch, StoreError};
use roentgen_store::generation::{Generation, GenerationState, LiveTables, NewGeneration};
use roentgen_store::log::{
    Append, AppendBatch, AppendReceipt, BatchOutcome, HeldReservation, KeyState, KnownKeys,
    LogFilter, LogPage, RegisteredKey, ReservationKey, StoredEvent, StreamTails,
};
use roentgen_store::policy_memory::{MemoryBatch, MemoryEntry, RejectedEffect};
use roentgen_store::read_model::{
    Checkpoint, ListQuery, ParkedRetry, ParkedStream, ProjectionBatch, Row, Table,
};
use roentgen_store::readers::{Readers, Scope};
use roentgen_store::relay_checkpoint::RelayCheckpoint;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::builders::{stream, to};
use crate::harness::ContractNode;

/// How the response of a call is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LostResponse {
    /// The call never arrived.
    BeforeTheCall,
    /// The call took effect.
    AfterTheCall,
}

/// Gate at which callers wait while it is shut.
#[derive(Debug)]
pub(crate) struct Gate {
    arrived: Semaphore,
    open: Semaphore,
}

impl Gate {
    fn open_now() -> Self {
        Self {
            arrived: Semaphore::new(0),
            open: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    /// Shuts the gate and forgets earlier arrivals.
    pub(crate) fn shut(&self) {
        self.open.forget_permits(Semaphore::MAX_PERMITS);
        self.arrived.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Waits until a caller has arrived.
    pub(crate) async fn wait_for_waiter(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    pub(crate) fn let_one_pass(&self) {
        self.open.add_permits(1);
    }

    pub(crate) fn open(&self) {
        self.open.add_permits(Semaphore::MAX_PERMITS);
    }
}

#[derive(Debug)]
pub(crate) struct FaultyEngine {
    inner: Arc<dyn Engine>,
    losses: Mutex<VecDeque<Option<LostResponse>>>,
    lost: Semaphore,
    /// Gate before appends.
    pub(crate) appends: Gate,
    /// Gate before a projection's transactions.
    pub(crate) projections: Gate,
    /// Gate before the transactions of a parked stream's retry.
    pub(crate) retries: Gate,
    moved: Mutex<Vec<bool>>,
    /// Stream that the stream scan leaves out.
    missed: Mutex<Option<StreamId>>,
    /// Stream whose rows make a projection's batch time out.
    late_for: Mutex<Option<StreamId>>,
    /// Number of projection batches that still lose their connection.
    hang_ups: AtomicU64,
    heaviest: AtomicUsize,
    failures: AtomicU64,
}

impl FaultyEngine {
    pub(crate) fn wrap(inner: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            losses: Mutex::default(),
            lost: Semaphore::new(0),
            appends: Gate::open_now(),
            projections: Gate::open_now(),
            retries: Gate::open_now(),
            moved: Mutex::default(),
            missed: Mutex::default(),
            late_for: Mutex::default(),
            hang_ups: AtomicU64::default(),
            heaviest: AtomicUsize::default(),
            failures: AtomicU64::default(),
        })
    }

    /// Makes every projection batch with a row of this stream time out.
    pub(crate) fn be_late_for(&self, stream: StreamId) {
        *self.late_for.lock().unwrap() = Some(stream);
    }

    /// Breaks the connection of this number of projection batches.
    pub(crate) fn hang_up(&self, times: u64) {
        self.hang_ups.store(times, Ordering::SeqCst);
    }

    /// Returns the number of projection batches that failed.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::SeqCst)
    }

    fn fault_of(&self, batch: &ProjectionBatch) -> Option<io::ErrorKind> {
        let late_for = *self.late_for.lock().unwrap();
        let mut rows = batch.rows.iter().flat_map(|(_, rows)| rows);
        if late_for.is_some_and(|stream| rows.any(|row| row.id == stream.as_uuid())) {
            return Some(io::ErrorKind::TimedOut);
        }
        let next = |left: u64| left.checked_sub(1);
        let hang_up = self
            .hang_ups
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        hang_up.ok().map(|_| io::ErrorKind::ConnectionReset)
    }

    /// Loses the response of the next append and shuts the gate for the one after it.
    pub(crate) fn lose(&self, loss: LostResponse) {
        self.losses.lock().unwrap().push_back(Some(loss));
    }

    /// Waits until a response was lost.
    pub(crate) async fn lost(&self) {
        self.lost.acquire().await.unwrap().forget();
    }

    /// Sends these appends in one batch, whose response may be lost. Returns their results.
    pub(crate) async fn append_in_one_batch(
        &self,
        node: &ContractNode,
        appends: &[Append],
        loss: Option<LostResponse>,
    ) -> Vec<Result<AppendReceipt, StoreError>> {
        self.appends.shut();
        self.losses.lock().unwrap().extend([None, loss]);
        let waiting = async {
            self.appends.wait_for_waiter().await;
            let queued = join_all(appends.iter().map(|append| node.append(append.clone())));
            // Polled in order: all appends are queued before the first may pass.
            tokio::join!(queued, async { self.appends.open() }).0
        };
        let (first, answers) = tokio::join!(node.append(to(stream(), 0, 1)), waiting);
        first.unwrap();
        answers
    }

    /// Hides the first event of this stream from the stream scan.
    pub(crate) fn hide_stream_start(&self, stream: StreamId) {
        *self.missed.lock().unwrap() = Some(stream);
    }

    /// Returns, for each of the projection's transactions, whether it advanced the checkpoint.
    pub(crate) fn moved(&self) -> Vec<bool> {
        self.moved.lock().unwrap().clone()
    }

    /// Returns the size of the largest set of rows that one lookup returned, in bytes.
    pub(crate) fn heaviest_rows(&self) -> usize {
        self.heaviest.load(Ordering::SeqCst)
    }
}

fn broken() -> EngineError {
    EngineError::ConnectionLost(sqlx::Error::Io(io::ErrorKind::ConnectionReset.into()))
}

/// Implements a part of the engine: the methods of `impl` call the inner engine, the others are given in full.
macro_rules! forwards {
    (impl $part:ident {
        $(fn $name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*
    } $($own:tt)*) => {
        #[async_trait]
        impl $part for FaultyEngine {
            $(
                async fn $name(&self, $($argument: $type),*) -> Result<$output, EngineError> {
                    self.inner.$name($($argument),*).await
                }
            )*
            $($own)*
        }
    };
}

forwards! {
    impl EventLog {
        fn head() -> Head;
        fn event_at(position: u64) -> Option<StoredEvent>;
        fn read_stream(scope: Scope, stream_id: StreamId, after_version: u64, limit: u32) -> Vec<StoredEvent>;
        fn count_streams(stream_type: &str, upto: u64) -> u64;
        fn stream_tails(streams: &[StreamId], upto: u64) -> StreamTails;
        fn first_stream_mismatch() -> Option<u64>;
        fn notify_appended() -> ();
        fn listen() -> Option<Box<dyn NotificationStream>>;
        fn reservation(key: ReservationKey, now_ms: i64) -> Option<HeldReservation>;
        fn delete_expired_reservations(now_ms: i64, limit: u32) -> u64;
    }

    async fn read_log(
        &self,
        after: u64,
        limit: u32,
        filter: &LogFilter,
    ) -> Result<LogPage, EngineError> {
        let mut page = self.inner.read_log(after, limit, filter).await?;
        if let Some(missed) = self.missed.lock().unwrap().filter(|_| filter.beginnings) {
            page.events.retain(|event| event.stream_id != missed);
        }
        Ok(page)
    }

    async fn append(&self, batch: &AppendBatch<'_>) -> Result<BatchOutcome, EngineError> {
        self.appends.pass().await;
        let loss = self.losses.lock().unwrap().pop_front().flatten();
        let Some(loss) = loss else {
            return self.inner.append(batch).await;
        };
        if loss == LostResponse::AfterTheCall {
            self.inner.append(batch).await?;
        }
        self.appends.shut();
        self.lost.add_permits(1);
        Err(broken())
    }
}

forwards! {
    impl LogArchive {
        fn archives() -> Vec<ArchivedPartition>;
        fn oldest_partition() -> Option<LogPartition>;
        fn archive_oldest(archive: &ArchivedPartition, kept_types: &[&str]) -> u64;
        fn retained_events(after: u64, limit: u32) -> Vec<StoredEvent>;
    }
}

forwards! {
    impl KeyStore {
        fn patient_keys(patients: &[(TenantId, PatientId)]) -> Vec<KnownKeys>;
        fn keys_by_id(key_ids: &[Uuid]) -> Vec<KeyState>;
        fn registered_keys(after: u64, limit: u32) -> Vec<RegisteredKey>;
        fn last_registered_keys(limit: u32) -> Vec<RegisteredKey>;
        fn bind_keys(fingerprint: &[u8], binding: KeyBinding) -> Option<KeyMismatch>;
        fn event_key_fingerprint(candidate: &[u8]) -> Vec<u8>;
        fn mark_served_with_tokens() -> ();
        fn was_served_with_tokens() -> bool;
        fn put_secret(secret: &SealedSecret) -> ();
        fn secret(tenant: TenantId, id: SecretId) -> Option<Vec<u8>>;
    }
}

forwards! {
    impl ReadModelStore {
        fn list_rows(table: Table, query: &ListQuery) -> Vec<Row>;
        fn parked() -> Vec<ParkedStream>;
        fn count_rows(table: Table) -> u64;
    }

    fn live_tables(&self) -> &LiveTables {
        self.inner.live_tables()
    }

    async fn read_rows(
        &self,
        scope: Scope,
        table: Table,
        ids: &[Uuid],
        most_bytes: usize,
    ) -> Result<Vec<Row>, EngineError> {
        let rows = self.inner.read_rows(scope, table, ids, most_bytes).await?;
        let weight = rows.iter().map(Row::weight).sum();
        self.heaviest.fetch_max(weight, Ordering::SeqCst);
        Ok(rows)
    }

    async fn write_projection(&self, batch: &ProjectionBatch) -> Result<bool, EngineError> {
        self.projections.pass().await;
        let answer = match self.fault_of(batch) {
            Some(kind) => Err(EngineError::ConnectionLost(sqlx::Error::Io(kind.into()))),
            None => self.inner.write_projection(batch).await,
        };
        match &answer {
            Ok(moved) => self.moved.lock().unwrap().push(*moved),
            Err(_) => {
                self.failures.fetch_add(1, Ordering::SeqCst);
            }
        }
        answer
    }

    async fn write_parked_retry(&self, retry: &ParkedRetry<'_>) -> Result<bool, EngineError> {
        self.retries.pass().await;
        self.inner.write_parked_retry(retry).await
    }
}

forwards! {
    impl GenerationStore {
        fn generations() -> Vec<Generation>;
        fn create_generations(generations: &[NewGeneration]) -> ();
        fn create_tables(tables: &[Table]) -> ();
        fn create_indexes(tables: &[Table]) -> ();
        fn advance_generation(table: Table, from: &GenerationState, to: &GenerationState) -> bool;
        fn swap_live_generation(table: Table) -> bool;
        fn drop_generation(generation: &Generation) -> bool;
    }
}

forwards! {
    impl SubscriptionStore {
        fn checkpoint(subscription: &str) -> Checkpoint;
        fn policy_memory(ids: &[Uuid]) -> Vec<MemoryEntry>;
        fn due_timers(limit: u32) -> Vec<MemoryEntry>;
        fn write_policy_memory(batch: &MemoryBatch<'_>) -> bool;
        fn rejected_effects(limit: u32) -> Vec<RejectedEffect>;
        fn relay_checkpoint(name: &str) -> Option<RelayCheckpoint>;
        fn advance_relay(name: &str, from: Option<&RelayCheckpoint>, to: &RelayCheckpoint) -> bool;
    }
}

forwards! {
    impl LeaseStore {
        fn acquire_leases(names: &[String], holder: Uuid, ttl: Duration) -> Vec<String>;
        fn release_leases(holder: Uuid) -> ();
        fn is_leased(name: &str) -> bool;
    }
}

#[async_trait]
impl Engine for FaultyEngine {
    async fn migrate(&self) -> Result<(), EngineError> {
        self.inner.migrate().await
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.inner.ping().await
    }

    fn readers(&self) -> &Readers {
        self.inner.readers()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
