//! Opens a database: selects the engine and starts the tasks that run on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::appender::Appender;
use crate::clock;
use crate::engine::{Engine, EventLog, KeyStore};
use crate::error::{EngineError, KeyError, error_chain};
use crate::keys::{Keyring, MasterKey};
use crate::lifecycle::BackgroundTasks;
use crate::notify;
use crate::postgres::Postgres;
use crate::postgres::target::{self, InvalidPostgresUrl};
use crate::recent_events::RecentEvents;
use crate::secrets::Secrets;
use crate::sqlite::Sqlite;

/// The location of the log.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite://PATH`: the file of the log. Read models and keys are stored in the same directory.
    Sqlite(PathBuf),
    /// `postgres://...` or `postgresql://...`.
    Postgres(String),
}

/// Why a database URL is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// The URL names neither SQLite nor PostgreSQL.
    #[error("must be sqlite://PATH or postgres://...")]
    Engine,
    /// The PostgreSQL driver cannot parse the URL.
    #[error(transparent)]
    Postgres(#[from] InvalidPostgresUrl),
}

impl DatabaseUrl {
    /// Parses a database URL: `sqlite://PATH` or `postgres://...`.
    ///
    /// # Errors
    ///
    /// [`InvalidDatabaseUrl`] with the reason. The error does not contain the URL, which may contain a password.
    pub fn parse(url: &str) -> Result<Self, InvalidDatabaseUrl> {
        match url.split_once("://") {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", rest)) if !rest.is_empty() => {
                target::parse(url)?;
                Ok(Self::Postgres(url.to_owned()))
            }
            Some(_) | None => Err(InvalidDatabaseUrl::Engine),
        }
    }

    /// Connects without changing the schema.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if an SQLite file cannot be opened. PostgreSQL is connected to on first use.
    pub async fn connect(&self) -> Result<Arc<dyn Engine>, EngineError> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(Sqlite::open(path).await?),
            Self::Postgres(url) => Arc::new(Postgres::connect(url)?),
        })
    }
}

/// Prints only the user, host, port and database of a PostgreSQL URL, never a secret.
impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(&target::shown(url)),
        }
    }
}

/// A database with the tasks that run on it in this node. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    /// The database engine.
    pub engine: Arc<dyn Engine>,
    /// The appender, which writes to the log.
    pub appender: Appender,
    /// Recent events, in memory.
    pub tail: Arc<RecentEvents>,
    /// Patient keys.
    pub keyring: Keyring,
    /// Secrets of the catalog.
    pub secrets: Secrets,
}

impl Store {
    /// Starts the appender and key lookups on a database whose schema is up to date.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if keys, log and master key do not belong together, or if the database fails.
    pub async fn start(
        engine: Arc<dyn Engine>,
        master: MasterKey,
        tasks: &BackgroundTasks,
    ) -> Result<Self, KeyError> {
        let keys: Arc<dyn KeyStore> = engine.clone();
        let log: Arc<dyn EventLog> = engine.clone();
        let secrets = Secrets::new(Arc::clone(&keys), master.clone());
        let keyring = Keyring::open(keys, master, tasks).await?;
        let tail = Arc::new(RecentEvents::default());
        let head = log.head().await.map_err(Arc::new)?;
        tail.observe(head.position);
        let appender = Appender::start(Arc::clone(&log), Arc::clone(&tail), tasks);
        notify::start(&log, &tail, tasks);
        tasks.spawn("claims", sweep_expired_reservations(log, tasks.token()));
        Ok(Self {
            engine,
            appender,
            tail,
            keyring,
            secrets,
        })
    }
}

/// Interval between deletions of expired reservations, and the number of reservations per statement.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
const SWEEP_LIMIT: u32 = 1000;

/// Deletes expired reservations every 60 s until `stop` is cancelled.
async fn sweep_expired_reservations(log: Arc<dyn EventLog>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        while !stop.is_cancelled() {
            match log
                .delete_expired_reservations(clock::now_ms(), SWEEP_LIMIT)
                .await
            {
                Ok(swept) if swept == u64::from(SWEEP_LIMIT) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(
                        event = "reservations.sweep_failed",
                        error = error_chain(&error),
                        "cannot delete expired reservations",
                    );
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let database = DatabaseUrl::parse("postgres://app:hunter2@db:5432/roentgen").unwrap();
        assert_eq!(format!("{database:?}"), "postgres://app@db:5432/roentgen");
        assert_eq!(database.to_string(), format!("{database:?}"));
    }

    #[test]
    fn only_our_engines_are_named() {
        assert!(DatabaseUrl::parse("sqlite://data/roentgen.db").is_ok());
        for bad in ["", "sqlite://", "mysql://x", "roentgen.db"] {
            let parsed = DatabaseUrl::parse(bad);
            assert_eq!(parsed, Err(InvalidDatabaseUrl::Engine), "{bad}");
        }
        let form = InvalidDatabaseUrl::Postgres(InvalidPostgresUrl::Form);
        assert_eq!(DatabaseUrl::parse("postgres://u:a?b@h/db"), Err(form));
    }
}
