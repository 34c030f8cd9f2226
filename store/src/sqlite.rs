//! The SQLite engine: three files, with one writer each.
//!
//! `roentgen.db` contains the log, `roentgen-read.db` the read models and their checkpoints, `roentgen-keys.db` the
//! patient keys. In a single file the appender would starve the projector, and every backup of the log would contain
//! deleted keys.

mod append;
mod append_decision;
mod error_class;
mod file;
mod generations;
mod keys;
mod leases;
mod log;
mod parked_retry;
mod policy_memory;
mod read_models;
mod readers;
mod relay_checkpoints;
mod reservations;
mod row_reader;
mod statement;
mod tie;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use roentgen_domain::ids::{PatientId, SecretId, StreamId, TenantId};
use sqlx::migrate::Migrator;
use uuid::Uuid;

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
use crate::secrets::SealedSecret;

pub use error_class::{InsecureFileMode, UnsupportedSqliteVersion};
use file::{Durability, File};
use read_models::DIALECT;

static LOG: Migrator = sqlx::migrate!("../migrations/sqlite/log");
static READ: Migrator = sqlx::migrate!("../migrations/sqlite/read");
static KEYS: Migrator = sqlx::migrate!("../migrations/sqlite/keys");

/// A log, its read models and its keys, in three files of one directory.
#[derive(Debug)]
pub struct Sqlite {
    log: File,
    read: File,
    keys: File,
    shown: LiveTables,
    tenant_readers: Readers,
    /// Fingerprint of the master key, set once log and keys are known to belong to it.
    master_id: OnceLock<Vec<u8>>,
}

impl Sqlite {
    /// Opens the three files; `path` is that of the log. Missing files and their directory are created.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] around [`UnsupportedSqliteVersion`] if the linked SQLite version can corrupt a WAL.
    pub async fn open(path: &Path) -> Result<Self, EngineError> {
        let log = File::open(path, Durability::Log).await?;
        let read = File::open(&sibling_file(path, "read"), Durability::Rebuildable).await?;
        let keys = File::open(&sibling_file(path, "keys"), Durability::Secret).await?;
        let shown = LiveTables::default();
        Ok(Self {
            log,
            read,
            keys,
            shown,
            tenant_readers: Readers::apart(file::SHARED_READERS, file::RESERVED_READERS),
            master_id: OnceLock::new(),
        })
    }
}

impl Sqlite {
    fn master_id(&self) -> Option<&[u8]> {
        self.master_id.get().map(Vec::as_slice)
    }
}

/// Returns `<stem>-<part>.db` in the directory of the log's file.
fn sibling_file(path: &Path, part: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push("-");
    name.push(part);
    name.push(".db");
    path.with_file_name(name)
}

#[async_trait]
impl Engine for Sqlite {
    async fn migrate(&self) -> Result<(), EngineError> {
        self.log.migrate(&LOG).await?;
        self.read.migrate(&READ).await?;
        self.keys.migrate(&KEYS).await
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.log.ping().await?;
        self.read.ping().await?;
        self.keys.ping().await
    }

    async fn append(&self, batch: &AppendBatch<'_>) -> Result<BatchOutcome, EngineError> {
        append::assert_sound(batch)?;
        let standing_keys = keys::offer(&self.keys, batch, self.master_id()).await?;
        append::append(&self.log, batch, standing_keys).await
    }

    async fn head(&self) -> Result<Head, EngineError> {
        log::head(&self.log).await
    }

    /// Does nothing: other processes that use the same files poll.
    async fn notify_appended(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn listen(&self) -> Result<Option<Box<dyn NotificationStream>>, EngineError> {
        Ok(None)
    }

    async fn event_at(&self, position: u64) -> Result<Option<StoredEvent>, EngineError> {
        log::event_at(&self.log, position).await
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
        log::stream(&self.log, scope, stream_id, after_version, limit).await
    }

    async fn read_log(
        &self,
        after: u64,
        limit: u32,
        filter: &LogFilter,
    ) -> Result<LogPage, EngineError> {
        log::page(&self.log, after, limit, filter).await
    }

    async fn first_stream_mismatch(&self) -> Result<Option<u64>, EngineError> {
        log::first_disagreement(&self.log).await
    }

    /// Returns nothing: the log is a single table in SQLite.
    async fn archives(&self) -> Result<Vec<ArchivedPartition>, EngineError> {
        Ok(Vec::new())
    }

    async fn oldest_partition(&self) -> Result<Option<LogPartition>, EngineError> {
        Ok(None)
    }

    async fn archive_oldest(&self, _: &ArchivedPartition, _: &[&str]) -> Result<u64, EngineError> {
        let what = "SQLite logs have no partitions; nothing to archive";
        Err(EngineError::Rejected(sqlx::Error::InvalidArgument(
            what.to_owned(),
        )))
    }

    async fn retained_events(&self, _: u64, _: u32) -> Result<Vec<StoredEvent>, EngineError> {
        Ok(Vec::new())
    }

    async fn reservation(
        &self,
        key: ReservationKey,
        now_ms: i64,
    ) -> Result<Option<HeldReservation>, EngineError> {
        reservations::find(&self.log, key, now_ms).await
    }

    async fn delete_expired_reservations(
        &self,
        now_ms: i64,
        limit: u32,
    ) -> Result<u64, EngineError> {
        reservations::sweep(&self.log, now_ms, limit).await
    }

    async fn patient_keys(
        &self,
        patients: &[(TenantId, PatientId)],
    ) -> Result<Vec<KnownKeys>, EngineError> {
        keys::find(&self.keys, &self.log, patients).await
    }

    async fn keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyState>, EngineError> {
        keys::by_id(&self.keys, key_ids).await
    }

    async fn registered_keys(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RegisteredKey>, EngineError> {
        keys::registered(&self.log, after, limit).await
    }

    async fn last_registered_keys(&self, limit: u32) -> Result<Vec<RegisteredKey>, EngineError> {
        keys::last_registered(&self.log, limit).await
    }

    async fn tie_keys(
        &self,
        fingerprint: &[u8],
        tying: KeyBinding,
    ) -> Result<Option<KeyMismatch>, EngineError> {
        let misfit = tie::tie(&self.log, &self.keys, fingerprint, tying).await?;
        if misfit.is_none() {
            self.master_id.get_or_init(|| fingerprint.to_vec());
        }
        Ok(misfit)
    }

    async fn event_key_fingerprint(&self, candidate: &[u8]) -> Result<Vec<u8>, EngineError> {
        keys::fingerprint(&self.keys, "event_key_fingerprint", candidate).await
    }

    async fn mark_served_with_tokens(&self) -> Result<(), EngineError> {
        let marked = keys::fingerprint(&self.log, SERVED_WITH_TOKENS, &[1]).await;
        marked.map(drop)
    }

    async fn was_served_with_tokens(&self) -> Result<bool, EngineError> {
        tie::is_in_meta(&self.log, SERVED_WITH_TOKENS).await
    }

    async fn put_secret(&self, secret: &SealedSecret) -> Result<(), EngineError> {
        keys::put_secret(&self.keys, secret, self.master_id()).await
    }

    async fn secret(&self, tenant: TenantId, id: SecretId) -> Result<Option<Vec<u8>>, EngineError> {
        keys::secret(&self.keys, tenant, id).await
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
        read_models::rows(&self.read, scope, table, ids, most_bytes).await
    }

    async fn list_rows(&self, table: Table, query: &ListQuery) -> Result<Vec<Row>, EngineError> {
        read_models::list(&self.read, table, query).await
    }

    async fn write_projection(&self, batch: &ProjectionBatch) -> Result<bool, EngineError> {
        read_models::project(&self.read, batch).await
    }

    async fn parked(&self) -> Result<Vec<ParkedStream>, EngineError> {
        read_models::parked(&self.read).await
    }

    async fn write_parked_retry(&self, replay: &ParkedRetry<'_>) -> Result<bool, EngineError> {
        parked_retry::replay(&self.read, &self.log, replay).await
    }

    async fn generations(&self) -> Result<Vec<Generation>, EngineError> {
        generations::all(&self.read).await
    }

    async fn create_generations(&self, generations: &[NewGeneration]) -> Result<(), EngineError> {
        generations::declare(&self.read, generations).await
    }

    async fn create_tables(&self, tables: &[Table]) -> Result<(), EngineError> {
        let create = tables.iter().map(|table| DIALECT.create_table(*table));
        generations::define(&self.read, create.collect()).await
    }

    async fn create_indexes(&self, tables: &[Table]) -> Result<(), EngineError> {
        let create = tables
            .iter()
            .flat_map(|table| DIALECT.create_indexes(*table));
        generations::define(&self.read, create.collect()).await
    }

    async fn advance_generation(
        &self,
        table: Table,
        from: &GenerationState,
        to: &GenerationState,
    ) -> Result<bool, EngineError> {
        generations::promote(&self.read, table, from, to).await
    }

    async fn swap_live_generation(&self, table: Table) -> Result<bool, EngineError> {
        generations::swap(&self.read, table).await
    }

    async fn drop_generation(&self, generation: &Generation) -> Result<bool, EngineError> {
        generations::forget(&self.read, generation).await
    }

    async fn count_rows(&self, table: Table) -> Result<u64, EngineError> {
        generations::count(&self.read, table).await
    }

    async fn count_streams(&self, stream_type: &str, upto: u64) -> Result<u64, EngineError> {
        log::count_streams(&self.log, stream_type, upto).await
    }

    async fn stream_tails(
        &self,
        streams: &[StreamId],
        upto: u64,
    ) -> Result<StreamTails, EngineError> {
        log::tails(&self.log, streams, upto).await
    }

    async fn checkpoint(&self, subscription: &str) -> Result<Checkpoint, EngineError> {
        read_models::checkpoint(&self.read, subscription).await
    }

    async fn policy_memory(&self, ids: &[Uuid]) -> Result<Vec<MemoryEntry>, EngineError> {
        policy_memory::find(&self.read, ids).await
    }

    async fn due_timers(&self, limit: u32) -> Result<Vec<MemoryEntry>, EngineError> {
        policy_memory::earliest_due(&self.read, limit).await
    }

    async fn write_policy_memory(&self, batch: &MemoryBatch<'_>) -> Result<bool, EngineError> {
        policy_memory::remember(&self.read, batch).await
    }

    async fn rejected_effects(&self, limit: u32) -> Result<Vec<RejectedEffect>, EngineError> {
        policy_memory::refused(&self.read, limit).await
    }

    async fn relay_checkpoint(&self, name: &str) -> Result<Option<RelayCheckpoint>, EngineError> {
        relay_checkpoints::find(&self.log, name).await
    }

    async fn advance_relay(
        &self,
        name: &str,
        from: Option<&RelayCheckpoint>,
        to: &RelayCheckpoint,
    ) -> Result<bool, EngineError> {
        relay_checkpoints::advance(&self.log, name, from, to).await
    }

    async fn acquire_leases(
        &self,
        names: &[String],
        holder: Uuid,
        ttl: Duration,
    ) -> Result<Vec<String>, EngineError> {
        leases::take(&self.read, names, holder, ttl).await
    }

    async fn release_leases(&self, holder: Uuid) -> Result<(), EngineError> {
        leases::release(&self.read, holder).await
    }

    async fn is_leased(&self, name: &str) -> Result<bool, EngineError> {
        leases::is_held(&self.read, name).await
    }

    async fn close(&self) {
        self.log.close().await;
        self.read.close().await;
        self.keys.close().await;
    }
}
