//! Opens one database file, with one writer and several readers.
//!
//! SQLite allows one writing connection at a time. Writers of this process queue on a mutex instead of competing for
//! SQLite's lock; SQLite waits only for writers of other processes.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Error, Sqlite, SqliteConnection, Transaction};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use super::error_class::{InsecureFileMode, UnsupportedSqliteVersion, classify, classify_commit};
use super::readers::{ReadConnection, Readers};
use crate::error::EngineError;
use crate::readers::SYSTEM_READERS;

/// Maximum wait of a caller for the writer or a reader.
const WRITER_WAIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum wait of SQLite for another process's lock.
const BUSY: Duration = Duration::from_secs(5);
/// Result code `SQLITE_BUSY`, and the pause before the next attempt.
const LOCKED: &str = "5";
const BUSY_RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// Read connections per file: shared by all tenants, and additional ones for tenants that hold none.
pub(super) const SHARED_READERS: usize = 4;
pub(super) const RESERVED_READERS: usize = 2;
/// Timeout of a reading statement, as on PostgreSQL.
const STATEMENT: Duration = Duration::from_secs(5);
/// Number of prepared statements cached per connection: several sizes of the same insert for every read model.
const STATEMENTS: usize = 400;
/// WAL size in pages of 4 KiB from which the WAL is checkpointed; its file is then truncated to `WAL_SIZE_LIMIT` bytes.
const WAL_PAGES: &str = "4000";
const WAL_SIZE_LIMIT: &str = "67108864";
/// Page cache of the log's writer, in KiB: the inner pages of its indexes, whose keys are inserted in no order.
const LOG_CACHE: &str = "-16000";
/// Minimum SQLite version; earlier ones can corrupt a WAL used by two connections.
const MIN_SQLITE_VERSION: [u32; 3] = [3, 51, 3];

/// Data that a crash may lose.
#[derive(Debug, Clone, Copy)]
pub(super) enum Durability {
    /// No acknowledged data.
    Log,
    /// The most recent data, which can be rebuilt from the log.
    Rebuildable,
    /// No data; in addition, deleted data is overwritten.
    Secret,
}

/// Open database file.
#[derive(Debug)]
pub(super) struct File {
    options: SqliteConnectOptions,
    writer: Mutex<Writer>,
    readers: Readers,
}

#[derive(Debug)]
enum Writer {
    Open(SqliteConnection),
    Lost,
    Closed,
}

/// Exclusive use of the writer.
pub(super) type WriteConnection<'a> = MappedMutexGuard<'a, SqliteConnection>;

/// Opens a connection that writes. Two connections that open a new file concurrently both switch it to WAL mode, and
/// SQLite reports the file as locked to the second one without waiting: `sqlite3_busy_timeout` does not cover this
/// switch. The wait is therefore implemented here.
async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, EngineError> {
    let deadline = Instant::now() + BUSY;
    loop {
        match options.connect().await {
            Err(Error::Database(error))
                if error.code().as_deref() == Some(LOCKED) && Instant::now() < deadline =>
            {
                tokio::time::sleep(BUSY_RETRY_INTERVAL).await;
            }
            connected => return connected.map_err(classify),
        }
    }
}

impl File {
    pub(super) async fn open(path: &Path, durability: Durability) -> Result<Self, EngineError> {
        create(path)
            .await
            .map_err(|error| classify(Error::Io(error)))?;
        assert_private(path).await?;
        let options = writer_options(path, durability);
        let mut writer = connect(&options).await?;
        assert_version(&mut writer).await?;
        let tenants = SHARED_READERS + RESERVED_READERS;
        let count = u32::try_from(tenants).unwrap_or(u32::MAX) + SYSTEM_READERS;
        let readers = Readers::new(
            base_options(path).read_only(true),
            count,
            WRITER_WAIT_TIMEOUT,
        );
        Ok(Self {
            options,
            writer: Mutex::new(Writer::Open(writer)),
            readers,
        })
    }

    /// Returns a connection for reading. Its statements are stopped after 5 s, or when it is dropped.
    pub(super) async fn read(&self) -> Result<ReadConnection<'_>, EngineError> {
        self.readers.acquire(Some(STATEMENT)).await
    }

    /// Returns a connection for reading whole tables, without statement timeout.
    pub(super) async fn read_at_length(&self) -> Result<ReadConnection<'_>, EngineError> {
        self.readers.acquire(None).await
    }

    /// Returns the connection for writing, when it is the caller's turn.
    pub(super) async fn write(&self) -> Result<WriteConnection<'_>, EngineError> {
        let turn = tokio::time::timeout(WRITER_WAIT_TIMEOUT, self.writer.lock()).await;
        let mut writer = turn.map_err(|_| classify(Error::PoolTimedOut))?;
        if writer.is_unusable().await {
            *writer = Writer::Lost;
            *writer = Writer::Open(connect(&self.options).await?);
        }
        MutexGuard::try_map(writer, Writer::connection).map_err(|_| classify(Error::PoolClosed))
    }

    /// Migrates the file's schema. Concurrent processes queue.
    pub(super) async fn migrate(&self, migrator: &Migrator) -> Result<(), EngineError> {
        let mut writing = self.write().await?;
        let mut transaction = begin(&mut writing).await?;
        let migrated = migrator.run_direct(None, &mut *transaction, false).await;
        migrated.map_err(migration_failed)?;
        commit(transaction).await
    }

    /// Checks that the file can be read.
    pub(super) async fn ping(&self) -> Result<(), EngineError> {
        let mut reading = self.read().await?;
        let count = sqlx::query("SELECT count(*) FROM sqlite_schema");
        reading.fetch_one(count).await.map(drop)
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        let writer = std::mem::replace(&mut *self.writer.lock().await, Writer::Closed);
        if let Writer::Open(connection) = writer
            && let Err(error) = connection.close().await
        {
            tracing::warn!(
                event = "sqlite.close_failed",
                %error,
                "database file did not close cleanly",
            );
        }
    }
}

impl Writer {
    fn connection(&mut self) -> Option<&mut SqliteConnection> {
        match self {
            Self::Open(connection) => Some(connection),
            Self::Lost | Self::Closed => None,
        }
    }

    /// Checks whether the connection is stuck in a transaction that neither its owner nor its rollback ended. This
    /// happens if SQLite has already ended the transaction, as on a full disk, and the driver still counts it.
    async fn is_unusable(&mut self) -> bool {
        match self {
            Self::Open(connection) if connection.is_in_transaction() => {
                // A rollback may still be queued; the ping runs after it.
                connection.ping().await.is_err() || connection.is_in_transaction()
            }
            Self::Open(_) | Self::Closed => false,
            Self::Lost => true,
        }
    }
}

/// Begins a transaction with the write lock, so that it cannot fail halfway because it may not write.
pub(super) async fn begin<'a>(
    writing: &'a mut WriteConnection<'_>,
) -> Result<Transaction<'a, Sqlite>, EngineError> {
    writing
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(classify)
}

pub(super) async fn commit(transaction: Transaction<'_, Sqlite>) -> Result<(), EngineError> {
    transaction.commit().await.map_err(classify_commit)
}

fn migration_failed(error: MigrateError) -> EngineError {
    if let MigrateError::Execute(error) = error {
        return classify(error);
    }
    classify(Error::Migrate(Box::new(error)))
}

fn base_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .statement_cache_capacity(STATEMENTS)
        .row_buffer_size(1000)
        .pragma("recursive_triggers", "ON")
        // As on PostgreSQL, LIKE is case-sensitive.
        .pragma("case_sensitive_like", "ON")
        .disable_statement_logging()
}

fn writer_options(path: &Path, durability: Durability) -> SqliteConnectOptions {
    let options = base_options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("temp_store", "MEMORY")
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .pragma("journal_size_limit", WAL_SIZE_LIMIT);
    match durability {
        Durability::Log => options
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", LOG_CACHE),
        Durability::Rebuildable => options.synchronous(SqliteSynchronous::Normal),
        Durability::Secret => options
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON"),
    }
}

/// Creates the file and its directory if they are missing, with access for the owner only; SQLite gives the WAL files
/// the same mode. An existing file is not opened: closing it would drop this process's locks on it.
async fn create(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent().filter(|path| !path.as_os_str().is_empty()) {
        let mut builder = tokio::fs::DirBuilder::new();
        #[cfg(unix)]
        builder.mode(0o700);
        builder.recursive(true).create(directory).await?;
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    match options.open(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Rejects a file that users other than the owner may access, as can happen with a restored copy; the error names the
/// file.
#[cfg(unix)]
async fn assert_private(path: &Path) -> Result<(), EngineError> {
    use std::os::unix::fs::PermissionsExt as _;
    let found = tokio::fs::metadata(path).await;
    let mode = found
        .map_err(|error| classify(Error::Io(error)))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.to_owned();
    Err(InsecureFileMode { path, mode }.into())
}

#[cfg(not(unix))]
async fn assert_private(_: &Path) -> Result<(), EngineError> {
    Ok(())
}

async fn assert_version(connection: &mut SqliteConnection) -> Result<(), EngineError> {
    let version = sqlx::query_scalar::<_, String>("SELECT sqlite_version()");
    let found = version.fetch_one(connection).await.map_err(classify)?;
    if is_sound(&found) {
        Ok(())
    } else {
        Err(UnsupportedSqliteVersion { found }.into())
    }
}

fn is_sound(version: &str) -> bool {
    let parts: Result<Vec<u32>, _> = version.split('.').map(str::parse).collect();
    parts.is_ok_and(|part| part.as_slice() >= MIN_SQLITE_VERSION.as_slice())
}

#[cfg(test)]
mod tests {
    use super::is_sound;

    #[test]
    fn knows_versions_by_number() {
        for sound in ["3.51.3", "3.51.10", "3.52.0", "4.0.0"] {
            assert!(is_sound(sound), "{sound}");
        }
        for unsound in ["3.51.2", "3.6.23.1", "3.50.9", "2.99.99", "", "newest"] {
            assert!(!is_sound(unsound), "{unsound}");
        }
    }
}
