//! A scratch database on the configured server, so that no measurement uses tables of another one.

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use uuid::Uuid;

/// Environment variable with the URL of the server.
pub const VARIABLE: &str = "ROENTGEN_BENCH_POSTGRES";
/// URL of the server if [`VARIABLE`] is not set.
pub const DEFAULT_URL: &str = "postgres://root@127.0.0.1:5432/postgres";

/// Database that exists for one run.
#[derive(Debug)]
pub struct Scratch {
    server: PgConnectOptions,
    name: String,
}

impl Scratch {
    /// Creates the database.
    pub async fn create(url: &str) -> anyhow::Result<Self> {
        let server: PgConnectOptions = url.parse().context("a postgres:// URL is wanted")?;
        let scratch = Self {
            server,
            name: format!("roentgen_peers_{}", Uuid::new_v4().simple()),
        };
        let create = format!("create database {}", scratch.name);
        scratch.on_server(&create).await?;
        Ok(scratch)
    }

    /// Drops the database and closes the remaining connections to it.
    pub async fn drop(self) -> anyhow::Result<()> {
        let drop = format!("drop database {} with (force)", self.name);
        self.on_server(&drop).await
    }

    /// Opens one connection.
    pub async fn connect(&self) -> anyhow::Result<PgConnection> {
        Ok(self.options().connect().await?)
    }

    /// Opens a pool with `size` connections, all opened before it returns, so that no measurement includes connecting.
    /// The liveness check of sqlx before each use is off: the server stays up, and the check would make the baseline
    /// look some 20 % slower.
    pub async fn pool(&self, size: u32) -> anyhow::Result<PgPool> {
        let pool = PgPoolOptions::new()
            .max_connections(size)
            .test_before_acquire(false)
            .connect_with(self.options())
            .await?;
        let mut opened = Vec::new();
        for _ in 0..size {
            opened.push(pool.acquire().await?);
        }
        drop(opened);
        Ok(pool)
    }

    /// Runs a script of statements.
    pub async fn run(&self, script: &str) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        sqlx::raw_sql(script).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Returns the server's version and the settings that determine the cost of a commit.
    pub async fn describe(&self) -> anyhow::Result<String> {
        let mut connection = self.connect().await?;
        let line = sqlx::query_scalar(include_str!("sql/describe_server.sql"))
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(line)
    }

    fn options(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name)
    }

    async fn on_server(&self, statement: &str) -> anyhow::Result<()> {
        let mut connection = self.server.connect().await.context(format!(
            "no PostgreSQL answers; {VARIABLE} names another one"
        ))?;
        sqlx::raw_sql(statement).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}
