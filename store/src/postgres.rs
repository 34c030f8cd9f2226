//! The PostgreSQL engine, for any number of nodes.
//!
//! Appends use a dedicated connection, on which each batch is one autocommit call of `log_append`. Reads and
//! projections have a small pool each. All of them use the role `roentgen_server`, which can read and add events and
//! write read models, and nothing else. Only migrations use the role of the database's owner.

mod append;
mod archive;
mod connect;
mod copy_in;
mod error_class;
mod generations;
mod keys;
mod leases;
mod log;
mod notifications;
mod parked_retry;
mod partitions;
mod pooled_call;
mod read_models;
mod rights;
mod row_reader;
mod subscriptions;
pub mod target;
#[cfg(target_os = "linux")]
mod tcp_nodelay;
#[cfg(test)]
mod test_support;
mod write_projection;

use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqlSafeStr as _, SqlStr};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::generation::LiveTables;
use crate::pace::YieldPacer;
use crate::readers::Readers;
use crate::rights::{Login, Rights};
use crate::sql::Dialect;

use append::AppendConnection;
use connect::{ANSWER_TIMEOUT, Connector};
use pooled_call::PooledCall;

/// Stub for other systems, which do not list the sockets of a process in `/proc`.
#[cfg(not(target_os = "linux"))]
mod tcp_nodelay {
    pub(super) fn set_nodelay(_: &sqlx::postgres::PgConnectOptions) {}
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
    connector: Connector,
    readers: PgPool,
    projectors: PgPool,
    appending: Mutex<AppendConnection>,
    /// A position that the log is known to have reached; the search for the head starts there.
    head_at_least: AtomicU64,
    /// Id of this node in notifications.
    node: Uuid,
    live_tables: LiveTables,
    tenant_readers: Readers,
}

/// Settings for scans of a whole table: no statement timeout, and all query plans enabled.
const NO_TIMEOUT: &str = "SET LOCAL statement_timeout = 0; SET LOCAL plan_cache_mode = auto; \
    SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_sort = on";

type Statement<'q> = Query<'q, sqlx::Postgres, PgArguments>;

impl Postgres {
    /// Prepares the connections to the database at `url` (`postgres://...`). Connections are opened on first use, so
    /// this succeeds while the database is unavailable. It must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`EngineError::Rejected`] if the URL cannot be parsed.
    pub fn connect(url: &str) -> Result<Self, EngineError> {
        let connector = Connector::parse(url)?;
        Ok(Self {
            readers: connector.read_pool(),
            projectors: connector.projection_pool(),
            connector,
            appending: Mutex::default(),
            head_at_least: AtomicU64::new(0),
            node: crate::clock::fresh_id(),
            live_tables: LiveTables::default(),
            tenant_readers: Readers::pooled(connect::SHARED_READERS, connect::RESERVED_READERS),
        })
    }

    async fn reader(&self) -> Result<PoolConnection<sqlx::Postgres>, EngineError> {
        let reader = self.readers.acquire().await;
        reader.map_err(EngineError::Unavailable)
    }

    /// Runs a statement that scans a whole table and returns one number.
    async fn fetch_number_without_timeout(
        &self,
        statement: Statement<'_>,
    ) -> Result<Option<i64>, EngineError> {
        let mut connection = self.reader().await?;
        let mut snapshot = connection
            .begin()
            .await
            .map_err(error_class::classify_read)?;
        sqlx::raw_sql(NO_TIMEOUT)
            .execute(&mut *snapshot)
            .await
            .map_err(error_class::classify_read)?;
        let number = statement.fetch_one(&mut *snapshot).await;
        let number = number.and_then(|row| row.try_get(0));
        snapshot
            .rollback()
            .await
            .map_err(error_class::classify_read)?;
        number.map_err(error_class::classify_read)
    }

    /// Runs a read statement and decodes its rows as they arrive.
    async fn fetch<T>(
        &self,
        statement: Statement<'_>,
        decode: impl FnMut(&PgRow) -> Result<T, EngineError>,
    ) -> Result<Vec<T>, EngineError> {
        self.fetch_until(statement, decode, |_| false).await
    }

    /// Runs a read statement as [`Self::fetch`] does, up to and including the first row that is `enough`.
    async fn fetch_until<T>(
        &self,
        statement: Statement<'_>,
        mut decode: impl FnMut(&PgRow) -> Result<T, EngineError>,
        mut enough: impl FnMut(&T) -> bool,
    ) -> Result<Vec<T>, EngineError> {
        let mut connection = PooledCall::acquire(&self.readers).await?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, async {
            let mut rows = statement.fetch(&mut *connection);
            let mut decoded = Vec::new();
            let pace = YieldPacer::begin();
            while let Some(row) = rows.try_next().await.map_err(error_class::classify_read)? {
                let value = decode(&row)?;
                let last = enough(&value);
                decoded.push(value);
                if last {
                    break;
                }
                // The driver does not yield while rows arrive faster than they are decoded.
                pace.rest().await;
            }
            Ok(decoded)
        })
        .await;
        let answer = connection.complete(answer);
        answer.unwrap_or_else(|| Err(EngineError::Unavailable(error_class::timed_out())))
    }

    /// Runs a transaction on a projector's connection. If there is no answer in time, its outcome is unknown.
    async fn with_projector<T>(
        &self,
        transaction: impl AsyncFnOnce(&mut PgConnection) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let mut connection = PooledCall::acquire(&self.projectors).await?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, transaction(&mut connection)).await;
        let answer = connection.complete(answer);
        answer.unwrap_or_else(|| Err(EngineError::ConnectionLost(error_class::timed_out())))
    }

    /// Runs a write statement in its own transaction. Returns the number of rows written.
    async fn execute(&self, statement: Statement<'_>) -> Result<u64, EngineError> {
        let mut connection = PooledCall::acquire(&self.readers).await?;
        let answer =
            tokio::time::timeout(ANSWER_TIMEOUT, statement.execute(&mut *connection)).await;
        let answer = connection.complete(answer);
        let done = answer.unwrap_or_else(|| Err(error_class::timed_out()));
        Ok(done.map_err(error_class::classify_write)?.rows_affected())
    }

    async fn run_migrations(&self) -> Result<(), EngineError> {
        let owner = self.connector.migration_pool();
        // A node of the previous release may start after the migrations of the next one. The header of each migration
        // states its compatibility.
        let mut migrations = sqlx::migrate!("../migrations/postgres");
        migrations.set_ignore_missing(true);
        let done = migrations.run(&owner).await;
        owner.close().await;
        done.map_err(error_class::classify_migration)
    }
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

    fn readers(&self) -> &Readers {
        &self.tenant_readers
    }

    async fn close(&self) {
        self.appending.lock().await.close().await;
        self.readers.close().await;
        self.projectors.close().await;
    }
}

/// The only place that accepts a statement composed at run time: [`crate::sql`] and [`read_models`] compose statements
/// from the `&'static str`s of a [`ReadModel`](crate::read_model::ReadModel) and placeholders, never from input.
fn composed(sql: String) -> SqlStr {
    AssertSqlSafe(sql).into_sql_str()
}
