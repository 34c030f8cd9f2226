//! A database of our own on the server that was named, so that no measure meets another's tables.

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use uuid::Uuid;

/// Names the server.
pub const VARIABLE: &str = "ROENTGEN_BENCH_POSTGRES";
/// Where it is when nothing names it.
pub const DEFAULT_URL: &str = "postgres://root@127.0.0.1:5432/postgres";

/// A database that lasts as long as one run.
#[derive(Debug)]
pub struct Scratch {
    server: PgConnectOptions,
    name: String,
}

impl Scratch {
    /// Creates it.
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

    /// Drops it, together with whatever is still connected to it.
    pub async fn drop(self) -> anyhow::Result<()> {
        let drop = format!("drop database {} with (force)", self.name);
        self.on_server(&drop).await
    }

    /// One connection.
    pub async fn connect(&self) -> anyhow::Result<PgConnection> {
        Ok(self.options().connect().await?)
    }

    /// A pool with `size` connections, all opened before it is returned: no measure pays for opening them.
    /// Nor for asking, each time one is taken, whether it still lives: sqlx does so unless told not to, and over a
    /// server that stays up it only makes the peer look some 20 % slower.
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

    /// The server's version and the settings that decide what a commit costs.
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
