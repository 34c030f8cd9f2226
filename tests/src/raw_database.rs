//! Direct access to a test's database, past the program.

use anyhow::Result;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};
use uuid::Uuid;

use crate::database::{EngineKind, TestDatabase};

/// Part of the database; SQLite stores each part in a separate file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DbFile {
    /// Log.
    Log,
    /// Read models, their checkpoints, and leases.
    Read,
    /// Patient keys.
    Keys,
}

/// Connection as the owner of the database. Tables are named without their schema.
#[derive(Debug)]
pub enum RawDatabase {
    /// Connection to one of SQLite's files.
    Sqlite(SqliteConnection),
    /// Connection to PostgreSQL.
    Postgres(PgConnection),
}

impl RawDatabase {
    /// Connects to one part.
    pub async fn on(database: &TestDatabase, part: DbFile) -> Result<Self> {
        match database.engine {
            EngineKind::Sqlite => {
                let file = match part {
                    DbFile::Log => "roentgen.db",
                    DbFile::Read => "roentgen-read.db",
                    DbFile::Keys => "roentgen-keys.db",
                };
                let path = database.directory().join(file);
                let connection = SqliteConnection::connect(&format!("sqlite://{}", path.display()));
                Ok(Self::Sqlite(connection.await?))
            }
            EngineKind::Postgres => {
                let mut connection = PgConnection::connect(&database.url).await?;
                connection.execute("SET search_path = public, read").await?;
                Ok(Self::Postgres(connection))
            }
        }
    }

    /// Runs a statement and returns the number of affected rows.
    pub async fn run(&mut self, sql: &str) -> Result<u64> {
        let statement = AssertSqlSafe(sql.to_owned());
        Ok(match self {
            Self::Sqlite(connection) => connection.execute(statement).await?.rows_affected(),
            Self::Postgres(connection) => connection.execute(statement).await?.rows_affected(),
        })
    }

    /// Runs a statement that returns one number.
    pub async fn number(&mut self, sql: &str) -> Result<i64> {
        let query = AssertSqlSafe(sql.to_owned());
        Ok(match self {
            Self::Sqlite(connection) => sqlx::query_scalar(query).fetch_one(connection).await?,
            Self::Postgres(connection) => sqlx::query_scalar(query).fetch_one(connection).await?,
        })
    }

    /// Drops the triggers that reject changes of the log.
    pub async fn drop_append_only_triggers(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(_) => self.run("DROP TRIGGER events_are_never_updated").await,
            Self::Postgres(_) => self.run("SET session_replication_role = replica").await,
        }?;
        Ok(())
    }

    /// Drops the triggers that protect keys from deletion.
    pub async fn unguard_keys(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(_) => self.run("DROP TRIGGER patient_keys_are_not_lost").await,
            Self::Postgres(_) => self.run("SET session_replication_role = replica").await,
        }?;
        Ok(())
    }

    /// Formats a UUID as a literal for this engine.
    pub fn id(&self, id: Uuid) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{}'", id.simple()),
            Self::Postgres(_) => format!("'{id}'"),
        }
    }
}
