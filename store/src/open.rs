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
#[error("must be sqlite://PATH or postgres://...")]
pub struct NotADatabase;

impl Database {
    /// From its URL.
    pub fn parse(url: &str) -> Result<Self, NotADatabase> {
        match url.split_once("://") {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", rest)) if !rest.is_empty() => {
                Ok(Self::Postgres(url.to_owned()))
            }
            Some(_) | None => Err(NotADatabase),
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

/// A password in the URL is not shown.
impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

/// libpq takes a password before the `@`, and as a parameter.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "[unreadable]".to_owned();
    };
    let (place, query) = match rest.rsplit_once('?') {
        Some((place, query)) => (place, format!("?{}", without_secrets(query))),
        None => (rest, String::new()),
    };
    let place = match place.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:[secret]@{host}"),
            None => place.to_owned(),
        },
        None => place.to_owned(),
    };
    format!("{scheme}://{place}{query}")
}

fn without_secrets(query: &str) -> String {
    let shown = query.split('&').map(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        match name.to_ascii_lowercase().contains("password") {
            true => format!("{name}=[secret]"),
            false => parameter.to_owned(),
        }
    });
    shown.collect::<Vec<_>>().join("&")
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
        assert_eq!(
            format!("{database:?}"),
            "postgres://app:[secret]@db:5432/roentgen"
        );
        let at = Database::parse("postgres://app:hun@ter2@db/roentgen").unwrap();
        assert_eq!(at.to_string(), "postgres://app:[secret]@db/roentgen");
    }

    #[test]
    fn only_our_engines_are_named() {
        assert!(Database::parse("sqlite://data/roentgen.db").is_ok());
        for bad in ["", "sqlite://", "mysql://x", "roentgen.db"] {
            assert_eq!(Database::parse(bad), Err(NotADatabase), "{bad}");
        }
    }
}
