//! One database file: one writer, some readers.
//!
//! SQLite lets one connection write at a time. Here that is a rule of the program and not a race for a lock: writers of
//! this process queue on a mutex, and only other processes' writers are waited for in SQLite.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Error, Sqlite, SqliteConnection, Transaction};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use super::error_class::{InsecureFileMode, UnsupportedSqliteVersion, classify, classify_commit};
use super::readers::{ReadConnection, Readers};
use crate::error::EngineError;
use crate::reads::SYSTEM_READERS;

/// How long a caller waits for its turn, at the most.
const WRITER_WAIT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long SQLite waits for another process's lock.
const BUSY: Duration = Duration::from_secs(5);
/// `SQLITE_BUSY`, and the pause before the next try.
const LOCKED: &str = "5";
const BUSY_RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// Connections that read a file: those that tenants share, and those beyond them for tenants that have none.
pub(super) const SHARED_READERS: usize = 4;
pub(super) const RESERVED_READERS: usize = 2;
/// How long a reading statement runs before it is stopped, as on PostgreSQL.
const STATEMENT: Duration = Duration::from_secs(5);
/// Statements kept prepared, a connection: several sizes of the same insert, for every model.
const STATEMENTS: usize = 400;
/// The WAL is written back past this many pages of 4 KiB, and cut to `WAL_SIZE_LIMIT` bytes then.
const WAL_PAGES: &str = "4000";
const WAL_SIZE_LIMIT: &str = "67108864";
/// Pages that the log's writer keeps in memory, in KiB: the inner pages of its indexes, whose keys come in no order.
const LOG_CACHE: &str = "-16000";
/// Earlier versions can corrupt a WAL under two connections.
const MIN_SQLITE_VERSION: [u32; 3] = [3, 51, 3];

/// What a crash may cost.
#[derive(Debug, Clone, Copy)]
pub(super) enum Durability {
    /// Nothing that was acknowledged.
    Log,
    /// The last moments, since they can be made again from the log.
    Rebuildable,
    /// Nothing, and what is deleted is overwritten.
    Secret,
}

/// One database file, open.
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

/// The writer, for as long as this lives.
pub(super) type WriteConnection<'a> = MappedMutexGuard<'a, SqliteConnection>;

/// A connection that writes. Two that open a new file at once both turn it to WAL, and SQLite tells the second that it
/// is locked without waiting as it does everywhere else (`sqlite3_busy_timeout` does not cover that change): so the
/// wait is here.
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

    /// A connection to read by. Its statements are stopped after 5 s, or when it is dropped.
    pub(super) async fn read(&self) -> Result<ReadConnection<'_>, EngineError> {
        self.readers.acquire(Some(STATEMENT)).await
    }

    /// A connection to look at whole tables by, for as long as that takes.
    pub(super) async fn read_at_length(&self) -> Result<ReadConnection<'_>, EngineError> {
        self.readers.acquire(None).await
    }

    /// The connection to write by, when it is the caller's turn.
    pub(super) async fn write(&self) -> Result<WriteConnection<'_>, EngineError> {
        let turn = tokio::time::timeout(WRITER_WAIT_TIMEOUT, self.writer.lock()).await;
        let mut writer = turn.map_err(|_| classify(Error::PoolTimedOut))?;
        if writer.is_unusable().await {
            *writer = Writer::Lost;
            *writer = Writer::Open(connect(&self.options).await?);
        }
        MutexGuard::try_map(writer, Writer::connection).map_err(|_| classify(Error::PoolClosed))
    }

    /// Brings the file's schema up to date. Two processes that try at once queue.
    pub(super) async fn migrate(&self, migrator: &Migrator) -> Result<(), EngineError> {
        let mut writing = self.write().await?;
        let mut transaction = begin(&mut writing).await?;
        let migrated = migrator.run_direct(None, &mut *transaction, false).await;
        migrated.map_err(migration_failed)?;
        commit(transaction).await
    }

    /// Reads something that is always there.
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

    /// Whether a transaction is stuck in it, which neither its owner nor its roll-back ended: SQLite had ended it by
    /// itself, as it does when the disk is full, and the driver lost count.
    async fn is_unusable(&mut self) -> bool {
        match self {
            Self::Open(connection) if connection.is_in_transaction() => {
                // A roll-back may still be on its way; a ping comes after it.
                connection.ping().await.is_err() || connection.is_in_transaction()
            }
            Self::Open(_) | Self::Closed => false,
            Self::Lost => true,
        }
    }
}

/// Takes the write lock at once, so that a transaction never finds out half-way that it may not write.
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
        // As on PostgreSQL: LIKE means the letters it is given.
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

/// Creates the file and its directory where they are missing, open to their owner only; SQLite gives the files beside
/// it the same mode. An existing file is not touched: closing it would drop the locks that this process has on it.
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

/// A file that others may read or write, as a restored copy may be, is refused by name.
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
