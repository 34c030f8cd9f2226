//! What a failed call means for whoever made it.

use std::borrow::Cow;
use std::io;

use sqlx::Error;
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

use crate::error::EngineError;

/// The connection is gone or out of step: what was sent may have taken effect.
fn is_connection_lost(error: &Error) -> bool {
    // 57P: the server is going down; 08: a connection's failure; 25P03: it hung up on an idle transaction.
    let told = |code: &str| code.starts_with("57P") || code.starts_with("08") || code == "25P03";
    matches!(
        error,
        Error::Io(_) | Error::Protocol(_) | Error::Tls(_) | Error::WorkerCrashed
    ) || code(error).is_some_and(|code| told(&code))
}

/// Not now, and nothing took effect: a time-out, a lock, a full disk, a deadlock, a server that only reads (which a
/// former primary is).
fn is_transient(error: &Error) -> bool {
    let told = |code: &str| {
        matches!(code, "55P03" | "57014" | "25006")
            || code.starts_with("53")
            || code.starts_with("40")
    };
    matches!(error, Error::PoolTimedOut | Error::PoolClosed)
        || code(error).is_some_and(|code| told(&code))
}

/// The SQLSTATE, where the server said what is wrong.
fn code(error: &Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}

/// Of a call that writes.
pub(super) fn classify_write(error: Error) -> EngineError {
    if is_connection_lost(&error) {
        EngineError::ConnectionLost(error)
    } else {
        classify_statement(error)
    }
}

/// Of a call that only reads, which a broken connection leaves without effect.
pub(super) fn classify_read(error: Error) -> EngineError {
    if is_connection_lost(&error) {
        EngineError::Unavailable(error)
    } else {
        classify_statement(error)
    }
}

/// What `streams_refuse_archived` says: the boundary stands in the detail.
fn archived(error: &Error) -> Option<u64> {
    let told = error.as_database_error()?;
    let told = told.try_downcast_ref::<PgDatabaseError>()?;
    let detail = (told.code() == "RG410").then(|| told.detail())?;
    detail?.parse().ok()
}

/// What `log_append` says of a key that is missing.
const KEY_MISSING: &str = "RG503";

fn classify_statement(error: Error) -> EngineError {
    if code(&error).is_some_and(|code| code == KEY_MISSING) {
        EngineError::KeyMissing
    } else if let Some(past_position) = archived(&error) {
        EngineError::Archived { past_position }
    } else if is_transient(&error) {
        EngineError::Unavailable(error)
    } else {
        EngineError::Rejected(error)
    }
}

/// Of migrations.
pub(super) fn classify_migration(error: MigrateError) -> EngineError {
    if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
        return classify_write(error);
    }
    EngineError::Rejected(Error::Migrate(Box::new(error)))
}

/// Whether a connection can be used again after this.
pub(super) fn is_connection_usable(error: &Error) -> bool {
    code(error).is_some_and(|code| code != "25006") && !is_connection_lost(error)
}

/// A server that does not answer at all.
pub(super) fn timed_out() -> Error {
    Error::Io(io::ErrorKind::TimedOut.into())
}

/// A caller's request that no statement can say.
pub(super) fn unrepresentable(what: &str) -> EngineError {
    EngineError::Rejected(Error::InvalidArgument(what.to_owned()))
}

/// A URL that names no database.
pub(super) fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> EngineError {
    EngineError::Rejected(Error::Configuration(Box::new(error)))
}
