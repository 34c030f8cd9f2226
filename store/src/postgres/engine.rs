//! Implements [`Engine`] by delegating to the other modules.

use std::time::Duration;

use async_trait::async_trait;
use roentgen_domain::ids::{PatientId, SecretId, StreamId, TenantId};
use uuid::Uuid;

use super::Postgres;
use crate::archive::{ArchivedPartition, LogPartition};
use crate::engine::{Engine, SERVED_WITH_TOKENS};
use crate::error::EngineError;
use crate::generation::{Generation, GenerationState, LiveTables, NewGeneration};
use crate::keys::{KeyBinding, KeyMismatch};
use crate::log::{
    AppendBatch, BatchOutcome, Head, HeldReservation, KeyState, KnownKeys, LogFilter, LogPage,
    RegisteredKey, ReservationKey, StoredEvent, StreamTails,
};
use crate::notify::NotificationStream;
use crate::policy_memory::{MemoryBatch, MemoryEntry, RejectedEffect};
use crate::read_model::{
    Checkpoint, ListQuery, ParkedRetry, ParkedStream, ProjectionBatch, Row, Table,
};
use crate::reads::{Readers, Scope};
use crate::relay_checkpoint::RelayCheckpoint;
use crate::rights::{Login, Rights};
use crate::secrets::SealedSecret;

#[async_trait]
impl Engine for Postgres {
    async fn migrate(&self) -> Result<(), EngineError> {
        self.run_migrations().await
    }

    async fn rights(&self, login: Login) -> Result<Rights, EngineError> {
        self.rights_of(login).await
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.fetch(sqlx::query("SELECT 1"), |_| Ok(()))
            .await
            .map(drop)
    }

    async fn append(&self, batch: &AppendBatch<'_>) -> Result<BatchOutcome, EngineError> {
        self.append_batch(batch).await
    }

    async fn head(&self) -> Result<Head, EngineError> {
        self.last_event().await
    }

    async fn notify_appended(&self) -> Result<(), EngineError> {
        self.notify_appended().await
    }

    async fn listen(&self) -> Result<Option<Box<dyn NotificationStream>>, EngineError> {
        Ok(Some(Box::new(self.listener().await?)))
    }

    async fn event_at(&self, position: u64) -> Result<Option<StoredEvent>, EngineError> {
        self.event(position).await
    }

    fn readers(&self) -> &Readers {
        &self.tenant_readers
    }

    async fn read_stream(
        &self,
        scope: Scope,
        stream_id: StreamId,
        after_version: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError> {
        self.events_of(scope, stream_id, after_version, limit).await
    }

    async fn read_log(
        &self,
        after: u64,
        limit: u32,
        filter: &LogFilter,
    ) -> Result<LogPage, EngineError> {
        self.log_page(after, limit, filter).await
    }

    async fn first_stream_mismatch(&self) -> Result<Option<u64>, EngineError> {
        self.disagreement().await
    }

    async fn archives(&self) -> Result<Vec<ArchivedPartition>, EngineError> {
        self.all_archives().await
    }

    async fn oldest_partition(&self) -> Result<Option<LogPartition>, EngineError> {
        self.first_partition().await
    }

    async fn archive_oldest(
        &self,
        archive: &ArchivedPartition,
        kept_types: &[&str],
    ) -> Result<u64, EngineError> {
        self.archive_partition(archive, kept_types).await
    }

    async fn retained_events(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError> {
        self.retained_events(after, limit).await
    }

    async fn reservation(
        &self,
        key: ReservationKey,
        now_ms: i64,
    ) -> Result<Option<HeldReservation>, EngineError> {
        self.held_claim(key, now_ms).await
    }

    async fn delete_expired_reservations(
        &self,
        now_ms: i64,
        limit: u32,
    ) -> Result<u64, EngineError> {
        self.forget_claims(now_ms, limit).await
    }

    async fn patient_keys(
        &self,
        patients: &[(TenantId, PatientId)],
    ) -> Result<Vec<KnownKeys>, EngineError> {
        self.keys_of(patients).await
    }

    async fn keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyState>, EngineError> {
        self.standing_of(key_ids).await
    }

    async fn registered_keys(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RegisteredKey>, EngineError> {
        self.registered_after(after, limit).await
    }

    async fn last_registered_keys(&self, limit: u32) -> Result<Vec<RegisteredKey>, EngineError> {
        self.registered_last(limit).await
    }

    async fn tie_keys(
        &self,
        fingerprint: &[u8],
        tying: KeyBinding,
    ) -> Result<Option<KeyMismatch>, EngineError> {
        self.tie(fingerprint, tying).await
    }

    async fn event_key_fingerprint(&self, candidate: &[u8]) -> Result<Vec<u8>, EngineError> {
        self.fingerprint("event_key_fingerprint", candidate).await
    }

    async fn mark_served_with_tokens(&self) -> Result<(), EngineError> {
        self.fingerprint(SERVED_WITH_TOKENS, &[1]).await.map(drop)
    }

    async fn was_served_with_tokens(&self) -> Result<bool, EngineError> {
        Ok(self.known_fingerprint(SERVED_WITH_TOKENS).await?.is_some())
    }

    async fn put_secret(&self, secret: &SealedSecret) -> Result<(), EngineError> {
        self.keep_secret(secret).await
    }

    async fn secret(&self, tenant: TenantId, id: SecretId) -> Result<Option<Vec<u8>>, EngineError> {
        self.secret_of(tenant, id).await
    }

    fn live_tables(&self) -> &LiveTables {
        &self.shown
    }

    async fn read_rows(
        &self,
        scope: Scope,
        table: Table,
        ids: &[Uuid],
        most_bytes: usize,
    ) -> Result<Vec<Row>, EngineError> {
        self.rows_by_id(scope, table, ids, most_bytes).await
    }

    async fn list_rows(&self, table: Table, query: &ListQuery) -> Result<Vec<Row>, EngineError> {
        self.list_rows(table, query).await
    }

    async fn write_projection(&self, batch: &ProjectionBatch) -> Result<bool, EngineError> {
        self.write_projection(batch).await
    }

    async fn parked(&self) -> Result<Vec<ParkedStream>, EngineError> {
        self.all_parked().await
    }

    async fn write_parked_retry(&self, replay: &ParkedRetry<'_>) -> Result<bool, EngineError> {
        self.write_replay(replay).await
    }

    async fn generations(&self) -> Result<Vec<Generation>, EngineError> {
        self.all_generations().await
    }

    async fn create_generations(&self, generations: &[NewGeneration]) -> Result<(), EngineError> {
        self.declare_all(generations).await
    }

    async fn create_tables(&self, tables: &[Table]) -> Result<(), EngineError> {
        self.create_all(tables).await
    }

    async fn create_indexes(&self, tables: &[Table]) -> Result<(), EngineError> {
        self.index_all(tables).await
    }

    async fn advance_generation(
        &self,
        table: Table,
        from: &GenerationState,
        to: &GenerationState,
    ) -> Result<bool, EngineError> {
        self.promote_one(table, from, to).await
    }

    async fn swap_live_generation(&self, table: Table) -> Result<bool, EngineError> {
        self.swap_in(table).await
    }

    async fn drop_generation(&self, generation: &Generation) -> Result<bool, EngineError> {
        self.forget_one(generation).await
    }

    async fn count_rows(&self, table: Table) -> Result<u64, EngineError> {
        self.count_rows(table).await
    }

    async fn count_streams(&self, stream_type: &str, upto: u64) -> Result<u64, EngineError> {
        self.streams_begun(stream_type, upto).await
    }

    async fn stream_tails(
        &self,
        streams: &[StreamId],
        upto: u64,
    ) -> Result<StreamTails, EngineError> {
        self.log_tails(streams, upto).await
    }

    async fn checkpoint(&self, subscription: &str) -> Result<Checkpoint, EngineError> {
        self.checkpoint_of(subscription).await
    }

    async fn policy_memory(&self, ids: &[Uuid]) -> Result<Vec<MemoryEntry>, EngineError> {
        self.memories_by_id(ids).await
    }

    async fn due_timers(&self, limit: u32) -> Result<Vec<MemoryEntry>, EngineError> {
        self.first_timers(limit).await
    }

    async fn write_policy_memory(&self, batch: &MemoryBatch<'_>) -> Result<bool, EngineError> {
        self.write_memory(batch).await
    }

    async fn rejected_effects(&self, limit: u32) -> Result<Vec<RejectedEffect>, EngineError> {
        self.last_refused(limit).await
    }

    async fn relay_checkpoint(&self, name: &str) -> Result<Option<RelayCheckpoint>, EngineError> {
        self.relay_of(name).await
    }

    async fn advance_relay(
        &self,
        name: &str,
        from: Option<&RelayCheckpoint>,
        to: &RelayCheckpoint,
    ) -> Result<bool, EngineError> {
        self.move_relay(name, from, to).await
    }

    async fn acquire_leases(
        &self,
        names: &[String],
        holder: Uuid,
        ttl: Duration,
    ) -> Result<Vec<String>, EngineError> {
        self.take_leases(names, holder, ttl).await
    }

    async fn release_leases(&self, holder: Uuid) -> Result<(), EngineError> {
        self.give_leases_back(holder).await
    }

    async fn is_leased(&self, name: &str) -> Result<bool, EngineError> {
        self.lease_is_held(name).await
    }

    async fn close(&self) {
        self.appending.lock().await.close().await;
        self.readers.close().await;
        self.projectors.close().await;
    }
}
