//! Classifies SQLite's errors for callers.

use std::path::PathBuf;

use sqlx::Error;

use crate::error::EngineError;

/// Linked SQLite that is older than 3.51.3 and can corrupt a WAL that two connections checkpoint concurrently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SQLite {found} is not supported; 3.51.3 or later is required")]
pub struct UnsupportedSqliteVersion {
    /// Version that `sqlite_version()` returns.
    pub found: String,
}

impl From<UnsupportedSqliteVersion> for EngineError {
    fn from(too_old: UnsupportedSqliteVersion) -> Self {
        Self::Rejected(Error::Configuration(Box::new(too_old)))
    }
}

/// Database file that users other than its owner may read or write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is open to others than its owner (mode {:04o}): chmod 600 it", path.display(), mode & 0o7777)]
pub struct InsecureFileMode {
    /// Path of the file.
    pub path: PathBuf,
    /// Mode of the file.
    pub mode: u32,
}

impl From<InsecureFileMode> for EngineError {
    fn from(open: InsecureFileMode) -> Self {
        Self::Rejected(Error::Configuration(Box::new(open)))
    }
}

/// Primary result codes (<https://www.sqlite.org/rescode.html>) that do not depend on the statement: another
/// connection's lock, the disk, memory.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const READONLY: i32 = 8;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const PROTOCOL: i32 = 15;
const TRANSIENT_CODES: [i32; 9] = [
    BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL,
];

/// Classifies an error of any statement except COMMIT: it took no effect, because its transaction is rolled back.
pub(super) fn classify(error: Error) -> EngineError {
    if is_transient(&error) {
        EngineError::Unavailable(error)
    } else {
        EngineError::Rejected(error)
    }
}

/// Classifies an error of COMMIT: if the disk failed during COMMIT, the next reader of the WAL decides.
pub(super) fn classify_commit(error: Error) -> EngineError {
    let unknown = matches!(error, Error::WorkerCrashed) || primary_code(&error) == Some(IOERR);
    if unknown {
        EngineError::ConnectionLost(error)
    } else {
        classify(error)
    }
}

fn is_transient(error: &Error) -> bool {
    let ours = matches!(
        error,
        Error::Io(_)
            | Error::PoolTimedOut
            | Error::PoolClosed
            | Error::WorkerCrashed
            | Error::BeginFailed
            | Error::InvalidSavePointStatement
    );
    ours || primary_code(error).is_some_and(|code| TRANSIENT_CODES.contains(&code))
}

/// Returns the low byte of the extended result code.
fn primary_code(error: &Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
