//! PostgreSQL: the engine for many nodes.
//!
//! Appends have one connection of their own, on which each batch is one autocommit call of `log_append`; reads and
//! projections have a small pool each. All of them work as the role `roentgen_server`, which may read and add events
//! and nothing else; migrations alone work as the owner of the database.

mod append;
mod archives;
mod borrowed;
mod claims;
mod columns;
mod connect;
mod copied;
mod failure;
mod generations;
mod keys;
mod log;
mod memory;
mod models;
mod partitions;
mod project;
mod relays;
mod replay;
mod rights;
mod secrets;
pub mod target;
#[cfg(test)]
mod testing;
mod told;
#[cfg(target_os = "linux")]
mod undelayed;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use roentgen_domain::ids::{PatientId, SecretId, StreamId, TenantId};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqlSafeStr as _, SqlStr};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::archive::{Archive, Partition};
use crate::engine::{Engine, SERVED_WITH_TOKENS};
use crate::error::EngineError;
use crate::generation::{Generation, NewGeneration, Shown, State};
use crate::keys::{Misfit, Tying};
use crate::log::{
    Batch, BatchOutcome, ClaimHeld, ClaimKey, Head, KeyStanding, KnownKeys, LogFilter, LogPage,
    RegisteredKey, StoredEvent, Tails,
};
use crate::memory::{Memory, MemoryBatch, RefusedEffect};
use crate::model::{Checkpoint, ListQuery, Parked, ProjectionBatch, Replay, Row, Table};
use crate::neighbours::Hearing;
use crate::pace::Pace;
use crate::reads::{Readers, Scope};
use crate::relayed::RelayCheckpoint;
use crate::rights::{Login, Rights};
use crate::secrets::SealedSecret;
use crate::sql::Dialect;

use append::Appending;
use borrowed::Borrowed;
use connect::{ANSWER_TIMEOUT, Doors};

/// Elsewhere a process does not find its sockets in `/proc`.
#[cfg(not(target_os = "linux"))]
mod undelayed {
    pub(super) fn connected(_: &sqlx::postgres::PgConnectOptions) {}
}

const DIALECT: Dialect = Dialect {
    schema: "read.",
    uuid: "uuid",
    bool: "boolean",
    bytes: "bytea",
    int: "bigint",
    key_is_built: true,
};

/// A PostgreSQL database, version 14 or later.
#[derive(Debug)]
pub struct Postgres {
    doors: Doors,
    readers: PgPool,
    projectors: PgPool,
    appending: Mutex<Appending>,
    /// A position the log is known to have reached: from there the head is looked for.
    head_at_least: AtomicU64,
    /// What this node is called among those that hear each other.
    node: Uuid,
    shown: Shown,
    tenant_readers: Readers,
}

/// A look at a whole table has all the time and every plan there is.
const AT_LENGTH: &str = "SET LOCAL statement_timeout = 0; SET LOCAL plan_cache_mode = auto; \
    SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_sort = on";

type Statement<'q> = Query<'q, sqlx::Postgres, PgArguments>;

impl Postgres {
    /// The database that `url` names (`postgres://...`). Connects when first asked something, so that this succeeds
    /// while the database is away; it must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// `Refused` where the URL cannot be read.
    pub fn connect(url: &str) -> Result<Self, EngineError> {
        let doors = Doors::parse(url)?;
        Ok(Self {
            readers: doors.readers(),
            projectors: doors.projectors(),
            doors,
            appending: Mutex::default(),
            head_at_least: AtomicU64::new(0),
            node: crate::clock::fresh_id(),
            shown: Shown::default(),
            tenant_readers: Readers::pooled(connect::SHARED_READERS, connect::RESERVED_READERS),
        })
    }

    async fn reader(&self) -> Result<PoolConnection<sqlx::Postgres>, EngineError> {
        let reader = self.readers.acquire().await;
        reader.map_err(EngineError::Unavailable)
    }

    /// Runs one statement that looks at a whole table and answers with one number.
    async fn number_at_length(&self, statement: Statement<'_>) -> Result<Option<i64>, EngineError> {
        let mut connection = self.reader().await?;
        let mut snapshot = connection.begin().await.map_err(failure::of_read)?;
        sqlx::raw_sql(AT_LENGTH)
            .execute(&mut *snapshot)
            .await
            .map_err(failure::of_read)?;
        let number = statement.fetch_one(&mut *snapshot).await;
        let number = number.and_then(|row| row.try_get(0));
        snapshot.rollback().await.map_err(failure::of_read)?;
        number.map_err(failure::of_read)
    }

    /// Runs one reading statement and decodes its rows as they come.
    async fn fetch<T>(
        &self,
        statement: Statement<'_>,
        decode: impl FnMut(&PgRow) -> Result<T, EngineError>,
    ) -> Result<Vec<T>, EngineError> {
        self.fetch_until(statement, decode, |_| false).await
    }

    /// The same, up to and with the row that is `enough`.
    async fn fetch_until<T>(
        &self,
        statement: Statement<'_>,
        mut decode: impl FnMut(&PgRow) -> Result<T, EngineError>,
        mut enough: impl FnMut(&T) -> bool,
    ) -> Result<Vec<T>, EngineError> {
        let mut connection = Borrowed::from(&self.readers).await?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, async {
            let mut rows = statement.fetch(&mut *connection);
            let (mut decoded, pace) = (Vec::new(), Pace::begin());
            while let Some(row) = rows.try_next().await.map_err(failure::of_read)? {
                let it = decode(&row)?;
                let last = enough(&it);
                decoded.push(it);
                if last {
                    break;
                }
                // The driver reads on for as long as the database is faster than it.
                pace.rest().await;
            }
            Ok(decoded)
        })
        .await;
        let answer = connection.answered(answer);
        answer.unwrap_or_else(|| Err(EngineError::Unavailable(failure::timed_out())))
    }

    /// Runs one writing statement, which commits by itself. Returns how many rows it wrote.
    async fn execute(&self, statement: Statement<'_>) -> Result<u64, EngineError> {
        let mut connection = Borrowed::from(&self.readers).await?;
        let answer =
            tokio::time::timeout(ANSWER_TIMEOUT, statement.execute(&mut *connection)).await;
        let answer = connection.answered(answer);
        let done = answer.unwrap_or_else(|| Err(failure::timed_out()));
        Ok(done.map_err(failure::of_write)?.rows_affected())
    }

    async fn run_migrations(&self) -> Result<(), EngineError> {
        let owner = self.doors.owner();
        // A node of the release before may start while the next one's migrations are in: each says what it sees.
        let mut migrations = sqlx::migrate!("../migrations/postgres");
        migrations.set_ignore_missing(true);
        let done = migrations.run(&owner).await;
        owner.close().await;
        done.map_err(failure::of_migration)
    }
}

/// The one place where a statement is not written down beforehand: [`crate::sql`] and [`models`] put statements
/// together from a [`Model`]'s `&'static str`s and placeholders, never from what a caller says.
fn composed(sql: String) -> SqlStr {
    AssertSqlSafe(sql).into_sql_str()
}

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

    async fn append(&self, batch: &Batch<'_>) -> Result<BatchOutcome, EngineError> {
        self.append_batch(batch).await
    }

    async fn head(&self) -> Result<Head, EngineError> {
        self.last_event().await
    }

    async fn tell(&self) -> Result<(), EngineError> {
        self.tell_others().await
    }

    async fn hearing(&self) -> Result<Option<Box<dyn Hearing>>, EngineError> {
        Ok(Some(Box::new(self.listener().await?)))
    }

    async fn event_at(&self, position: u64) -> Result<Option<StoredEvent>, EngineError> {
        self.event(position).await
    }

    fn readers(&self) -> &Readers {
        &self.tenant_readers
    }

    async fn stream(
        &self,
        scope: Scope,
        stream_id: StreamId,
        after_version: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError> {
        self.events_of(scope, stream_id, after_version, limit).await
    }

    async fn page(
        &self,
        after: u64,
        limit: u32,
        filter: &LogFilter,
    ) -> Result<LogPage, EngineError> {
        self.log_page(after, limit, filter).await
    }

    async fn first_disagreement(&self) -> Result<Option<u64>, EngineError> {
        self.disagreement().await
    }

    async fn archives(&self) -> Result<Vec<Archive>, EngineError> {
        self.all_archives().await
    }

    async fn oldest_partition(&self) -> Result<Option<Partition>, EngineError> {
        self.first_partition().await
    }

    async fn archive(&self, archive: &Archive, kept_types: &[&str]) -> Result<u64, EngineError> {
        self.put_away(archive, kept_types).await
    }

    async fn kept(&self, after: u64, limit: u32) -> Result<Vec<StoredEvent>, EngineError> {
        self.kept_events(after, limit).await
    }

    async fn claim(&self, key: ClaimKey, now_ms: i64) -> Result<Option<ClaimHeld>, EngineError> {
        self.held_claim(key, now_ms).await
    }

    async fn forget_expired_claims(&self, now_ms: i64, limit: u32) -> Result<u64, EngineError> {
        self.forget_claims(now_ms, limit).await
    }

    async fn patient_keys(
        &self,
        patients: &[(TenantId, PatientId)],
    ) -> Result<Vec<KnownKeys>, EngineError> {
        self.keys_of(patients).await
    }

    async fn keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyStanding>, EngineError> {
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
        tying: Tying,
    ) -> Result<Option<Misfit>, EngineError> {
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

    fn shown(&self) -> &Shown {
        &self.shown
    }

    async fn rows_in(
        &self,
        scope: Scope,
        table: Table,
        ids: &[Uuid],
    ) -> Result<Vec<Row>, EngineError> {
        self.rows_by_id(scope, table, ids).await
    }

    async fn list_in(&self, table: Table, query: &ListQuery) -> Result<Vec<Row>, EngineError> {
        self.list_rows(table, query).await
    }

    async fn project(&self, batch: &ProjectionBatch) -> Result<bool, EngineError> {
        self.write_projection(batch).await
    }

    async fn parked(&self) -> Result<Vec<Parked>, EngineError> {
        self.all_parked().await
    }

    async fn replay(&self, replay: &Replay<'_>) -> Result<bool, EngineError> {
        self.write_replay(replay).await
    }

    async fn generations(&self) -> Result<Vec<Generation>, EngineError> {
        self.all_generations().await
    }

    async fn declare(&self, generations: &[NewGeneration]) -> Result<(), EngineError> {
        self.declare_all(generations).await
    }

    async fn create_tables(&self, tables: &[Table]) -> Result<(), EngineError> {
        self.create_all(tables).await
    }

    async fn create_indexes(&self, tables: &[Table]) -> Result<(), EngineError> {
        self.index_all(tables).await
    }

    async fn promote(&self, table: Table, from: &State, to: &State) -> Result<bool, EngineError> {
        self.promote_one(table, from, to).await
    }

    async fn swap(&self, table: Table) -> Result<bool, EngineError> {
        self.swap_in(table).await
    }

    async fn forget(&self, generation: &Generation) -> Result<bool, EngineError> {
        self.forget_one(generation).await
    }

    async fn count(&self, table: Table) -> Result<u64, EngineError> {
        self.count_rows(table).await
    }

    async fn count_streams(&self, stream_type: &str, upto: u64) -> Result<u64, EngineError> {
        self.streams_begun(stream_type, upto).await
    }

    async fn tails(&self, streams: &[StreamId], upto: u64) -> Result<Tails, EngineError> {
        self.log_tails(streams, upto).await
    }

    async fn checkpoint(&self, subscription: &str) -> Result<Checkpoint, EngineError> {
        self.checkpoint_of(subscription).await
    }

    async fn memories(&self, ids: &[Uuid]) -> Result<Vec<Memory>, EngineError> {
        self.memories_by_id(ids).await
    }

    async fn earliest_due(&self, limit: u32) -> Result<Vec<Memory>, EngineError> {
        self.first_timers(limit).await
    }

    async fn remember(&self, batch: &MemoryBatch<'_>) -> Result<bool, EngineError> {
        self.write_memory(batch).await
    }

    async fn refused_effects(&self, limit: u32) -> Result<Vec<RefusedEffect>, EngineError> {
        self.last_refused(limit).await
    }

    async fn relay(&self, name: &str) -> Result<Option<RelayCheckpoint>, EngineError> {
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

    async fn lease(
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
