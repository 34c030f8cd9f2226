//! One database per test, nodes on it, and direct access past the engine.

use std::fmt::Debug;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use roentgen_store::chain_verification::{Verification, verify};
use roentgen_store::clock;
use roentgen_store::database::{DatabaseUrl, Store};
use roentgen_store::engine::Engine;
use roentgen_store::error::StoreError;
use roentgen_store::fair::ShareOwner;
use roentgen_store::keys::MasterKey;
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::log::{Append, AppendReceipt, LogFilter, StoredEvent};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::time::Instant;

/// Longer than any wait in these tests, on the slowest machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(40);

/// Database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineKind {
    Sqlite,
    Postgres,
}

/// One of SQLite's three files; on PostgreSQL all are in one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DbFile {
    Log,
    Read,
    Keys,
}

/// Migrated database, dropped with this value.
#[derive(Debug)]
pub(crate) struct ContractDatabase {
    pub(crate) kind: EngineKind,
    name: String,
    directory: TempDir,
}

impl ContractDatabase {
    pub(crate) async fn new(kind: EngineKind) -> Self {
        let bed = Self::empty(kind).await;
        let engine = bed.connect().await;
        engine.migrate().await.unwrap();
        engine.close().await;
        bed
    }

    /// Creates a database without a schema.
    pub(crate) async fn empty(kind: EngineKind) -> Self {
        let bed = Self {
            kind,
            name: format!("roentgen_contract_{}", clock::fresh_id().simple()),
            directory: tempfile::tempdir().unwrap(),
        };
        if kind == EngineKind::Postgres {
            let create = format!("CREATE DATABASE {}", bed.name);
            run_on_server(&create).await;
        }
        bed
    }

    pub(crate) fn url(&self) -> String {
        match self.kind {
            EngineKind::Sqlite => format!("sqlite://{}", self.file(DbFile::Log).display()),
            EngineKind::Postgres => sibling_url(&server(), &self.name),
        }
    }

    /// Returns the path of one of SQLite's files.
    pub(crate) fn file(&self, part: DbFile) -> PathBuf {
        self.directory.path().join(match part {
            DbFile::Log => "roentgen.db",
            DbFile::Read => "roentgen-read.db",
            DbFile::Keys => "roentgen-keys.db",
        })
    }

    /// Returns a path for a test's additional files.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn connect(&self) -> Arc<dyn Engine> {
        let database = DatabaseUrl::parse(&self.url()).unwrap();
        database.connect().await.unwrap()
    }

    /// Starts a node on the database.
    pub(crate) async fn node(&self) -> ContractNode {
        ContractNode::with_engine(self.connect().await).await
    }

    /// Opens a connection as the owner, past the engine.
    pub(crate) async fn owner(&self) -> PgConnection {
        assert_eq!(self.kind, EngineKind::Postgres);
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// Opens a connection to one of SQLite's files, past the engine.
    pub(crate) async fn shell(&self, part: DbFile) -> SqliteConnection {
        assert_eq!(self.kind, EngineKind::Sqlite);
        let options = SqliteConnectOptions::new().filename(self.file(part));
        options.connect().await.unwrap()
    }

    /// Runs SQL on the keys past the engine, with the guards in place. Returns the error if it is rejected.
    pub(crate) async fn on_keys(&self, sql: &str) -> Result<u64, sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        let done = match self.kind {
            EngineKind::Sqlite => {
                let mut shell = self.shell(DbFile::Keys).await;
                let done = sqlx::query(sql).execute(&mut shell).await;
                shell.close().await.unwrap();
                done?.rows_affected()
            }
            EngineKind::Postgres => {
                let mut owner = self.owner().await;
                let done = sqlx::query(sql).execute(&mut owner).await;
                owner.close().await.unwrap();
                done?.rows_affected()
            }
        };
        Ok(done)
    }

    /// Deletes keys without a tombstone, past their guards.
    pub(crate) async fn lose_keys(&self, condition: &str) {
        let delete = format!("DELETE FROM patient_keys WHERE {condition}");
        match self.kind {
            EngineKind::Sqlite => {
                let unguard = "DROP TRIGGER IF EXISTS patient_keys_are_not_lost";
                self.on_keys(unguard).await.unwrap();
                self.on_keys(&delete).await.unwrap();
            }
            EngineKind::Postgres => self.tamper(&delete).await,
        }
    }

    /// Runs SQL past the engine and its guards, as a malicious owner of the database would.
    pub(crate) async fn tamper(&self, sql: &str) {
        match self.kind {
            EngineKind::Sqlite => {
                let mut shell = self.shell(DbFile::Log).await;
                let triggers = rows(
                    sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
                        .fetch_all(&mut shell)
                        .await,
                );
                let drops = triggers
                    .iter()
                    .map(|trigger| format!("DROP TRIGGER {trigger};"));
                let all = drops.collect::<String>() + sql;
                sqlx::raw_sql(AssertSqlSafe(all))
                    .execute(&mut shell)
                    .await
                    .unwrap();
                shell.close().await.unwrap();
            }
            EngineKind::Postgres => {
                let mut owner = self.owner().await;
                let all = format!("SET session_replication_role = replica; {sql}");
                sqlx::raw_sql(AssertSqlSafe(all))
                    .execute(&mut owner)
                    .await
                    .unwrap();
                owner.close().await.unwrap();
            }
        }
    }

    /// Returns the first column of a statement's rows, as text.
    pub(crate) async fn ask(&self, part: DbFile, sql: String) -> Vec<String> {
        let sql = AssertSqlSafe(sql);
        match self.kind {
            EngineKind::Sqlite => {
                let mut shell = self.shell(part).await;
                let answer = rows(sqlx::query_scalar(sql).fetch_all(&mut shell).await);
                shell.close().await.unwrap();
                answer
            }
            EngineKind::Postgres => {
                let mut owner = self.owner().await;
                let answer = rows(sqlx::query_scalar(sql).fetch_all(&mut owner).await);
                owner.close().await.unwrap();
                answer
            }
        }
    }

    /// Runs statements as the owner of the database.
    pub(crate) async fn run(&self, part: DbFile, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.kind {
            EngineKind::Sqlite => {
                let mut shell = self.shell(part).await;
                sqlx::raw_sql(sql).execute(&mut shell).await.unwrap();
                shell.close().await.unwrap();
            }
            EngineKind::Postgres => {
                let mut owner = self.owner().await;
                sqlx::raw_sql(sql).execute(&mut owner).await.unwrap();
                owner.close().await.unwrap();
            }
        }
    }

    /// Returns a table's rows, each as one text, in a fixed order.
    async fn table(&self, part: DbFile, table: &str) -> Vec<String> {
        let row = match self.kind {
            EngineKind::Postgres => format!("{table}::text"),
            EngineKind::Sqlite => {
                let columns = format!("SELECT name FROM pragma_table_info('{table}')");
                let columns = self.ask(part, columns).await;
                let quoted: Vec<String> = columns
                    .iter()
                    .map(|column| format!("quote({column})"))
                    .collect();
                quoted.join(" || ',' || ")
            }
        };
        self.ask(part, format!("SELECT {row} FROM {table} ORDER BY 1"))
            .await
    }

    /// Returns everything that an append can write.
    pub(crate) async fn contents(&self) -> Contents {
        Contents {
            events: self.table(DbFile::Log, "events").await,
            streams: self.table(DbFile::Log, "streams").await,
            claims: self.table(DbFile::Log, "claims").await,
            patient_keys: self.table(DbFile::Keys, "patient_keys").await,
            key_register: self.table(DbFile::Log, "key_register").await,
        }
    }
}

/// Everything that an append can write, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) events: Vec<String>,
    pub(crate) streams: Vec<String>,
    pub(crate) claims: Vec<String>,
    pub(crate) patient_keys: Vec<String>,
    pub(crate) key_register: Vec<String>,
}

fn rows(answer: sqlx::Result<Vec<String>>) -> Vec<String> {
    answer.unwrap()
}

/// Drops the database, even if clients are still connected.
impl Drop for ContractDatabase {
    fn drop(&mut self) {
        if self.kind == EngineKind::Sqlite {
            return;
        }
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(run_on_server(&drop));
        });
        dropping.join().unwrap();
    }
}

/// Returns the URL of the server on which tests create databases.
pub(crate) fn server() -> String {
    let named = std::env::var("ROENTGEN_TEST_POSTGRES").ok();
    named.unwrap_or_else(|| "postgres://root@127.0.0.1:5432/postgres".to_owned())
}

/// Returns the URL of another database on the same server.
fn sibling_url(server: &str, name: &str) -> String {
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

async fn run_on_server(sql: &str) {
    let mut connection = PgConnection::connect(&server())
        .await
        .expect("the contract needs a PostgreSQL server: ROENTGEN_TEST_POSTGRES");
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Node: all components over a database in one process.
#[derive(Debug)]
pub(crate) struct ContractNode {
    store: Store,
    pub(crate) tasks: BackgroundTasks,
}

impl Deref for ContractNode {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// Returns the engine of the migrated database, with no other component.
pub(crate) async fn opened(bed: &ContractDatabase) -> Arc<dyn Engine> {
    let engine = bed.connect().await;
    engine.migrate().await.unwrap();
    engine
}

impl ContractNode {
    pub(crate) const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    pub(crate) async fn with_engine(engine: Arc<dyn Engine>) -> Self {
        let master = MasterKey::parse(Self::MASTER_KEY).unwrap();
        let tasks = BackgroundTasks::new();
        let store = Store::start(engine, master, &tasks).await.unwrap();
        Self { store, tasks }
    }

    pub(crate) async fn append(&self, append: Append) -> Result<AppendReceipt, StoreError> {
        self.appender
            .append(ShareOwner::System, append, Instant::now() + WAIT_TIMEOUT)
            .await
    }

    pub(crate) async fn position(&self) -> u64 {
        self.engine.head().await.unwrap().position
    }

    /// Shuts down as a process does on request.
    pub(crate) async fn stop(self) {
        assert!(self.tasks.stop(WAIT_TIMEOUT).await, "a task did not end");
        self.engine.close().await;
    }
}

/// Reads the whole log.
pub(crate) async fn whole_log(engine: &dyn Engine) -> Vec<StoredEvent> {
    let mut log: Vec<StoredEvent> = Vec::new();
    loop {
        let after = log.last().map_or(0, |event| event.position);
        let page = engine
            .read_log(after, 1000, &LogFilter::default())
            .await
            .unwrap();
        if page.events.is_empty() {
            return log;
        }
        log.extend(page.events);
    }
}

/// Reads the log and checks that positions have no gaps, times do not decrease and the chain verifies.
pub(crate) async fn verified_log(engine: &dyn Engine) -> Vec<StoredEvent> {
    let log = whole_log(engine).await;
    assert!(
        (1..=log.len() as u64).eq(log.iter().map(|event| event.position)),
        "positions are not dense"
    );
    assert!(
        log.is_sorted_by_key(|event| event.recorded_at_ms),
        "time goes back"
    );
    let found = verify(engine, None, |_| ()).await.unwrap();
    assert_eq!(
        found,
        Verification::Intact {
            after: 0,
            head: engine.head().await.unwrap()
        }
    );
    log
}

/// Polls until `done`, within [`WAIT_TIMEOUT`]; on timeout the panic shows the last observed value.
pub(crate) async fn wait_until<T: Debug>(
    what: &str,
    mut ask: impl AsyncFnMut() -> T,
    done: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    loop {
        let seen = ask().await;
        if done(&seen) {
            return seen;
        }
        assert!(
            Instant::now() < deadline,
            "{what}: not in time; last seen: {seen:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
