//! Opening a database: which engine, and everything that runs over it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::appender::Appender;
use crate::clock;
use crate::engine::Engine;
use crate::error::{EngineError, causes};
use crate::keys::{KeyError, Keyring, MasterKey};
use crate::lifecycle::Tasks;
use crate::neighbours;
use crate::postgres::Postgres;
use crate::postgres::target::{self, NotATarget};
use crate::secrets::Secrets;
use crate::sqlite::Sqlite;
use crate::tail::Tail;

/// Where the log is.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// `sqlite://PATH`: the log's file; read models and keys lie beside it.
    Sqlite(PathBuf),
    /// `postgres://...` or `postgresql://...`.
    Postgres(String),
}

/// The text names no database of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotADatabase {
    /// Neither of the two engines.
    #[error("must be sqlite://PATH or postgres://...")]
    Engine,
    /// Not a URL that PostgreSQL's driver understands.
    #[error(transparent)]
    Postgres(#[from] NotATarget),
}

impl Database {
    /// From its URL.
    pub fn parse(url: &str) -> Result<Self, NotADatabase> {
        match url.split_once("://") {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", rest)) if !rest.is_empty() => {
                target::parse(url)?;
                Ok(Self::Postgres(url.to_owned()))
            }
            Some(_) | None => Err(NotADatabase::Engine),
        }
    }

    /// Connects, without touching the schema.
    pub async fn connect(&self) -> Result<Arc<dyn Engine>, EngineError> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(Sqlite::open(path).await?),
            Self::Postgres(url) => Arc::new(Postgres::connect(url)?),
        })
    }
}

/// Shows nothing that may be a secret: of a URL its user, host, port and database.
impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(&target::shown(url)),
        }
    }
}

/// A database with everything that runs over it on this node. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    /// The database.
    pub engine: Arc<dyn Engine>,
    /// Writes the log.
    pub appender: Appender,
    /// The log's end in memory.
    pub tail: Arc<Tail>,
    /// Patients' keys.
    pub keyring: Keyring,
    /// The catalog's secrets.
    pub secrets: Secrets,
}

impl Store {
    /// Starts appender and key look-ups over a database whose schema is up to date.
    pub async fn start(
        engine: Arc<dyn Engine>,
        master: MasterKey,
        tasks: &Tasks,
    ) -> Result<Self, KeyError> {
        let secrets = Secrets::over(Arc::clone(&engine), master.clone());
        let keyring = Keyring::open(Arc::clone(&engine), master, tasks).await?;
        let tail = Arc::new(Tail::default());
        let head = engine.head().await.map_err(Arc::new)?;
        tail.saw(head.position);
        let appender = Appender::start(Arc::clone(&engine), Arc::clone(&tail), tasks);
        neighbours::start(&engine, &tail, tasks);
        tasks.spawn("claims", forget_claims(Arc::clone(&engine), tasks.token()));
        Ok(Self {
            engine,
            appender,
            tail,
            keyring,
            secrets,
        })
    }
}

/// How often, and how many at once, expired claims are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const SWEPT_AT_ONCE: u32 = 1000;

/// Claims that answer to nobody any more do not stay.
async fn forget_claims(engine: Arc<dyn Engine>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        while !stop.is_cancelled() {
            match engine
                .forget_expired_claims(clock::now_ms(), SWEPT_AT_ONCE)
                .await
            {
                Ok(swept) if swept == u64::from(SWEPT_AT_ONCE) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(error = causes(&error), "expired claims were not forgotten");
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
        let database = Database::parse("postgres://app:hunter2@db:5432/roentgen").unwrap();
        assert_eq!(format!("{database:?}"), "postgres://app@db:5432/roentgen");
        assert_eq!(database.to_string(), format!("{database:?}"));
    }

    #[test]
    fn only_our_engines_are_named() {
        assert!(Database::parse("sqlite://data/roentgen.db").is_ok());
        for bad in ["", "sqlite://", "mysql://x", "roentgen.db"] {
            let parsed = Database::parse(bad);
            assert_eq!(parsed, Err(NotADatabase::Engine), "{bad}");
        }
        let form = NotADatabase::Postgres(NotATarget::Form);
        assert_eq!(Database::parse("postgres://u:a?b@h/db"), Err(form));
    }
}
