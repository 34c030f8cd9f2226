//! One database per test, on either engine, dropped with the test.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use crate::postgres::Postgres;

/// Database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// SQLite, embedded.
    Sqlite,
    /// PostgreSQL server named by `ROENTGEN_TEST_POSTGRES`.
    Postgres,
}

/// Database of one test, with a directory for the server's files.
#[derive(Debug)]
pub struct TestDatabase {
    /// Engine of the database.
    pub engine: EngineKind,
    /// URL for `--database`.
    pub url: String,
    directory: TempDir,
    name: Option<String>,
}

/// Returns the URL of the PostgreSQL server on which tests create databases.
pub fn postgres_server() -> String {
    let named = std::env::var("ROENTGEN_TEST_POSTGRES").ok();
    named.unwrap_or_else(|| "postgres://root@127.0.0.1:5432/postgres".to_owned())
}

/// Returns the URL of another database on the same server.
pub fn sibling_url(server: &str, name: &str) -> String {
    let base = server.rsplit_once('/').map_or(server, |(base, _)| base);
    format!("{base}/{name}")
}

impl TestDatabase {
    /// Creates an empty database.
    pub async fn new(engine: EngineKind) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let (url, name) = match engine {
            EngineKind::Sqlite => (
                format!(
                    "sqlite://{}",
                    directory.path().join("roentgen.db").display()
                ),
                None,
            ),
            EngineKind::Postgres => {
                let name = format!(
                    "roentgen_test_{}",
                    roentgen_store::clock::fresh_id().simple()
                );
                let mut server = PgConnection::connect(&postgres_server())
                    .await
                    .context("the tests need PostgreSQL: ROENTGEN_TEST_POSTGRES")?;
                server
                    .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
                    .await?;
                (sibling_url(&postgres_server(), &name), Some(name))
            }
        };
        Ok(Self {
            engine,
            url,
            directory,
            name,
        })
    }

    /// Creates an empty database on a PostgreSQL started for the test; it is deleted with that server.
    pub fn on(postgres: &Postgres) -> Result<Self> {
        Ok(Self {
            engine: EngineKind::Postgres,
            url: postgres.url(),
            directory: tempfile::tempdir()?,
            name: None,
        })
    }

    /// Returns the server's working directory: keys of `--dev`, and SQLite's files.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }
}

impl TestDatabase {
    /// Creates another database with the current contents of this one. This one must have no connections.
    pub async fn copy(&self) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        copy_files(self.directory.path(), directory.path())?;
        let (url, name) = match &self.name {
            None => {
                let log = directory.path().join("roentgen.db");
                (format!("sqlite://{}", log.display()), None)
            }
            Some(original) => {
                let name = format!(
                    "roentgen_test_{}",
                    roentgen_store::clock::fresh_id().simple()
                );
                let mut server = PgConnection::connect(&postgres_server()).await?;
                let copy = format!("CREATE DATABASE {name} TEMPLATE {original}");
                server.execute(AssertSqlSafe(copy)).await?;
                (sibling_url(&postgres_server(), &name), Some(name))
            }
        };
        Ok(Self {
            engine: self.engine,
            url,
            directory,
            name,
        })
    }
}

pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy_files(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Drops the database, even if clients are still connected.
impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut server = PgConnection::connect(&postgres_server()).await?;
                let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                server.execute(AssertSqlSafe(drop)).await?;
                anyhow::Ok(())
            })
        });
        if let Ok(Err(error)) = dropping.join() {
            eprintln!("a test's database was not dropped: {error}");
        }
    }
}
