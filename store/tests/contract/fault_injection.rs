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
use roentgen_store::engine::Engine;
use roentgen_store::error::{EngineError, StoreError};
use roentgen_store::generation::{Generation, GenerationState, LiveTables, NewGeneration};
use roentgen_store::keys::{KeyBinding, KeyMismatch};
use roentgen_store::log::{
    Append, AppendBatch, AppendReceipt, BatchOutcome, Head, HeldReservation, KeyState, KnownKeys,
    LogFilter, LogPage, RegisteredKey, ReservationKey, StoredEvent, StreamTails,
};
use roentgen_store::notify::NotificationStream;
use roentgen_store::policy_memory::{MemoryBatch, MemoryEntry, RejectedEffect};
use roentgen_store::read_model::{
    Checkpoint, ListQuery, ParkedRetry, ParkedStream, ProjectionBatch, Row, Table,
};
use roentgen_store::reads::{Readers, Scope};
use roentgen_store::relay_checkpoint::RelayCheckpoint;
use roentgen_store::secrets::SealedSecret;
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
    pub(crate) replays: Gate,
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
            replays: Gate::open_now(),
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

#[async_trait]
impl Engine for FaultyEngine {
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

    async fn migrate(&self) -> Result<(), EngineError> {
        self.inner.migrate().await
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.inner.ping().await
    }

    async fn head(&self) -> Result<Head, EngineError> {
        self.inner.head().await
    }

    async fn notify_appended(&self) -> Result<(), EngineError> {
        self.inner.notify_appended().await
    }

    async fn listen(&self) -> Result<Option<Box<dyn NotificationStream>>, EngineError> {
        self.inner.listen().await
    }

    async fn event_at(&self, position: u64) -> Result<Option<StoredEvent>, EngineError> {
        self.inner.event_at(position).await
    }

    fn readers(&self) -> &Readers {
        self.inner.readers()
    }

    async fn read_stream(
        &self,
        scope: Scope,
        stream_id: StreamId,
        after_version: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError> {
        self.inner
            .read_stream(scope, stream_id, after_version, limit)
            .await
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

    async fn first_stream_mismatch(&self) -> Result<Option<u64>, EngineError> {
        self.inner.first_stream_mismatch().await
    }

    async fn archives(&self) -> Result<Vec<ArchivedPartition>, EngineError> {
        self.inner.archives().await
    }

    async fn oldest_partition(&self) -> Result<Option<LogPartition>, EngineError> {
        self.inner.oldest_partition().await
    }

    async fn archive_oldest(
        &self,
        archive: &ArchivedPartition,
        kept_types: &[&str],
    ) -> Result<u64, EngineError> {
        self.inner.archive_oldest(archive, kept_types).await
    }

    async fn retained_events(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError> {
        self.inner.retained_events(after, limit).await
    }

    async fn reservation(
        &self,
        key: ReservationKey,
        now_ms: i64,
    ) -> Result<Option<HeldReservation>, EngineError> {
        self.inner.reservation(key, now_ms).await
    }

    async fn delete_expired_reservations(
        &self,
        now_ms: i64,
        limit: u32,
    ) -> Result<u64, EngineError> {
        self.inner.delete_expired_reservations(now_ms, limit).await
    }

    async fn patient_keys(
        &self,
        patients: &[(TenantId, PatientId)],
    ) -> Result<Vec<KnownKeys>, EngineError> {
        self.inner.patient_keys(patients).await
    }

    async fn keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyState>, EngineError> {
        self.inner.keys_by_id(key_ids).await
    }

    async fn registered_keys(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RegisteredKey>, EngineError> {
        self.inner.registered_keys(after, limit).await
    }

    async fn last_registered_keys(&self, limit: u32) -> Result<Vec<RegisteredKey>, EngineError> {
        self.inner.last_registered_keys(limit).await
    }

    async fn tie_keys(
        &self,
        fingerprint: &[u8],
        tying: KeyBinding,
    ) -> Result<Option<KeyMismatch>, EngineError> {
        self.inner.tie_keys(fingerprint, tying).await
    }

    async fn event_key_fingerprint(&self, candidate: &[u8]) -> Result<Vec<u8>, EngineError> {
        self.inner.event_key_fingerprint(candidate).await
    }

    async fn mark_served_with_tokens(&self) -> Result<(), EngineError> {
        self.inner.mark_served_with_tokens().await
    }

    async fn was_served_with_tokens(&self) -> Result<bool, EngineError> {
        self.inner.was_served_with_tokens().await
    }

    async fn put_secret(&self, secret: &SealedSecret) -> Result<(), EngineError> {
        self.inner.put_secret(secret).await
    }

    async fn secret(&self, tenant: TenantId, id: SecretId) -> Result<Option<Vec<u8>>, EngineError> {
        self.inner.secret(tenant, id).await
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

    async fn list_rows(&self, table: Table, query: &ListQuery) -> Result<Vec<Row>, EngineError> {
        self.inner.list_rows(table, query).await
    }

    async fn parked(&self) -> Result<Vec<ParkedStream>, EngineError> {
        self.inner.parked().await
    }

    async fn generations(&self) -> Result<Vec<Generation>, EngineError> {
        self.inner.generations().await
    }

    async fn create_generations(&self, generations: &[NewGeneration]) -> Result<(), EngineError> {
        self.inner.create_generations(generations).await
    }

    async fn create_tables(&self, tables: &[Table]) -> Result<(), EngineError> {
        self.inner.create_tables(tables).await
    }

    async fn create_indexes(&self, tables: &[Table]) -> Result<(), EngineError> {
        self.inner.create_indexes(tables).await
    }

    async fn advance_generation(
        &self,
        table: Table,
        from: &GenerationState,
        to: &GenerationState,
    ) -> Result<bool, EngineError> {
        self.inner.advance_generation(table, from, to).await
    }

    async fn swap_live_generation(&self, table: Table) -> Result<bool, EngineError> {
        self.inner.swap_live_generation(table).await
    }

    async fn drop_generation(&self, generation: &Generation) -> Result<bool, EngineError> {
        self.inner.drop_generation(generation).await
    }

    async fn count_rows(&self, table: Table) -> Result<u64, EngineError> {
        self.inner.count_rows(table).await
    }

    async fn count_streams(&self, stream_type: &str, upto: u64) -> Result<u64, EngineError> {
        self.inner.count_streams(stream_type, upto).await
    }

    async fn stream_tails(
        &self,
        streams: &[StreamId],
        upto: u64,
    ) -> Result<StreamTails, EngineError> {
        self.inner.stream_tails(streams, upto).await
    }

    async fn checkpoint(&self, subscription: &str) -> Result<Checkpoint, EngineError> {
        self.inner.checkpoint(subscription).await
    }

    async fn write_parked_retry(&self, replay: &ParkedRetry<'_>) -> Result<bool, EngineError> {
        self.replays.pass().await;
        self.inner.write_parked_retry(replay).await
    }

    async fn policy_memory(&self, ids: &[Uuid]) -> Result<Vec<MemoryEntry>, EngineError> {
        self.inner.policy_memory(ids).await
    }

    async fn due_timers(&self, limit: u32) -> Result<Vec<MemoryEntry>, EngineError> {
        self.inner.due_timers(limit).await
    }

    async fn write_policy_memory(&self, batch: &MemoryBatch<'_>) -> Result<bool, EngineError> {
        self.inner.write_policy_memory(batch).await
    }

    async fn rejected_effects(&self, limit: u32) -> Result<Vec<RejectedEffect>, EngineError> {
        self.inner.rejected_effects(limit).await
    }

    async fn relay_checkpoint(&self, name: &str) -> Result<Option<RelayCheckpoint>, EngineError> {
        self.inner.relay_checkpoint(name).await
    }

    async fn advance_relay(
        &self,
        name: &str,
        from: Option<&RelayCheckpoint>,
        to: &RelayCheckpoint,
    ) -> Result<bool, EngineError> {
        self.inner.advance_relay(name, from, to).await
    }

    async fn acquire_leases(
        &self,
        names: &[String],
        holder: Uuid,
        ttl: Duration,
    ) -> Result<Vec<String>, EngineError> {
        self.inner.acquire_leases(names, holder, ttl).await
    }

    async fn release_leases(&self, holder: Uuid) -> Result<(), EngineError> {
        self.inner.release_leases(holder).await
    }

    async fn is_leased(&self, name: &str) -> Result<bool, EngineError> {
        self.inner.is_leased(name).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
