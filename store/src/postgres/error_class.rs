//! Classifies failed calls for their callers.

use std::borrow::Cow;
use std::io;

use sqlx::Error;
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

use crate::error::EngineError;

/// Checks whether the connection is lost or out of step; the statement may have taken effect.
fn is_connection_lost(error: &Error) -> bool {
    // 57P: the server shuts down; 08: the connection failed; 25P03: the server closed an idle transaction.
    let told = |code: &str| code.starts_with("57P") || code.starts_with("08") || code == "25P03";
    matches!(
        error,
        Error::Io(_) | Error::Protocol(_) | Error::Tls(_) | Error::WorkerCrashed
    ) || code(error).is_some_and(|code| told(&code))
}

/// Checks for a transient failure without effect: a timeout, a lock, a full disk, a deadlock, or a read-only server,
/// such as a former primary.
fn is_transient(error: &Error) -> bool {
    let told = |code: &str| {
        matches!(code, "55P03" | "57014" | "25006")
            || code.starts_with("53")
            || code.starts_with("40")
    };
    matches!(error, Error::PoolTimedOut | Error::PoolClosed)
        || code(error).is_some_and(|code| told(&code))
}

/// Returns the SQLSTATE, if the server reported the error.
fn code(error: &Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}

/// Classifies an error of a call that writes.
pub(super) fn classify_write(error: Error) -> EngineError {
    if is_connection_lost(&error) {
        EngineError::ConnectionLost(error)
    } else {
        classify_statement(error)
    }
}

/// Classifies an error of a call that only reads; a lost connection leaves it without effect.
pub(super) fn classify_read(error: Error) -> EngineError {
    if is_connection_lost(&error) {
        EngineError::Unavailable(error)
    } else {
        classify_statement(error)
    }
}

/// Returns the archive's end from an error of `streams_refuse_archived`, which has it in the detail.
fn archived(error: &Error) -> Option<u64> {
    let told = error.as_database_error()?;
    let told = told.try_downcast_ref::<PgDatabaseError>()?;
    let detail = (told.code() == "RG410").then(|| told.detail())?;
    detail?.parse().ok()
}

/// SQLSTATE of `log_append` for a missing key.
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

/// Classifies an error of a migration.
pub(super) fn classify_migration(error: MigrateError) -> EngineError {
    if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
        return classify_write(error);
    }
    EngineError::Rejected(Error::Migrate(Box::new(error)))
}

/// Checks whether a connection can be used again after the error.
pub(super) fn is_connection_usable(error: &Error) -> bool {
    code(error).is_some_and(|code| code != "25006") && !is_connection_lost(error)
}

/// Returns the error for a server that does not answer.
pub(super) fn timed_out() -> Error {
    Error::Io(io::ErrorKind::TimedOut.into())
}

/// Returns the error for a request that no statement can express.
pub(super) fn unrepresentable(what: &str) -> EngineError {
    EngineError::Rejected(Error::InvalidArgument(what.to_owned()))
}

/// Returns the error for a URL that names no database.
pub(super) fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> EngineError {
    EngineError::Rejected(Error::Configuration(Box::new(error)))
}
