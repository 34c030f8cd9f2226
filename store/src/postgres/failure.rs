//! What a failed call means for whoever made it.

use std::borrow::Cow;
use std::io;

use sqlx::Error;
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

use crate::error::EngineError;

/// The connection is gone or out of step: what was sent may have taken effect.
fn broke(error: &Error) -> bool {
    // 57P: the server is going down; 08: a connection's failure; 25P03: it hung up on an idle transaction.
    let told = |code: &str| code.starts_with("57P") || code.starts_with("08") || code == "25P03";
    matches!(
        error,
        Error::Io(_) | Error::Protocol(_) | Error::Tls(_) | Error::WorkerCrashed
    ) || code(error).is_some_and(|it| told(&it))
}

/// Not now, and nothing took effect: a time-out, a lock, a full disk, a deadlock, a server that only reads (which a
/// former primary is).
fn passing(error: &Error) -> bool {
    let told = |code: &str| {
        matches!(code, "55P03" | "57014" | "25006")
            || code.starts_with("53")
            || code.starts_with("40")
    };
    matches!(error, Error::PoolTimedOut | Error::PoolClosed)
        || code(error).is_some_and(|it| told(&it))
}

/// The SQLSTATE, where the server said what is wrong.
fn code(error: &Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}

/// Of a call that writes.
pub(super) fn of_write(error: Error) -> EngineError {
    if broke(&error) {
        EngineError::Broken(error)
    } else {
        of_statement(error)
    }
}

/// Of a call that only reads, which a broken connection leaves without effect.
pub(super) fn of_read(error: Error) -> EngineError {
    if broke(&error) {
        EngineError::Unavailable(error)
    } else {
        of_statement(error)
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

fn of_statement(error: Error) -> EngineError {
    if code(&error).is_some_and(|code| code == KEY_MISSING) {
        EngineError::KeyMissing
    } else if let Some(past_position) = archived(&error) {
        EngineError::Archived { past_position }
    } else if passing(&error) {
        EngineError::Unavailable(error)
    } else {
        EngineError::Refused(error)
    }
}

/// Of migrations.
pub(super) fn of_migration(error: MigrateError) -> EngineError {
    if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
        return of_write(error);
    }
    EngineError::Refused(Error::Migrate(Box::new(error)))
}

/// Whether a connection can be used again after this.
pub(super) fn leaves_usable(error: &Error) -> bool {
    code(error).is_some_and(|it| it != "25006") && !broke(error)
}

/// A server that does not answer at all.
pub(super) fn timed_out() -> Error {
    Error::Io(io::ErrorKind::TimedOut.into())
}

/// A caller's request that no statement can say.
pub(super) fn unsayable(what: &str) -> EngineError {
    EngineError::Refused(Error::InvalidArgument(what.to_owned()))
}

/// A URL that names no database.
pub(super) fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> EngineError {
    EngineError::Refused(Error::Configuration(Box::new(error)))
}
