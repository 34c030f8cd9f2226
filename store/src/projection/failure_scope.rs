//! Classifies failed reads and writes of rows: caused by a row, or by the database.

use std::io;

use sqlx::Error;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

use crate::error::EngineError;

/// Cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureScope {
    /// A row, which fails on every attempt.
    Row,
    /// A row, if other rows can be written: the call timed out, or the database failed internally.
    RowIfOthersPass,
    /// No row: the connection, a lock, the disk, a missing table or privilege.
    NoRow,
}

impl FailureScope {
    pub(crate) fn classify(error: &EngineError) -> Self {
        match error {
            EngineError::Rejected(error)
            | EngineError::Unavailable(error)
            | EngineError::ConnectionLost(error) => of_database(error),
            EngineError::Corrupt(_) => Self::Row,
            EngineError::Archived { .. }
            | EngineError::ReadModelNotReady(_)
            | EngineError::KeyMissing => Self::NoRow,
        }
    }
}

/// Returns the reason why a stream is parked, without the database's message: it may contain row values.
pub(crate) fn reason(error: &EngineError) -> String {
    let code = match error {
        EngineError::Rejected(error)
        | EngineError::Unavailable(error)
        | EngineError::ConnectionLost(error) => {
            error.as_database_error().and_then(|told| told.code())
        }
        EngineError::Corrupt(_)
        | EngineError::Archived { .. }
        | EngineError::ReadModelNotReady(_)
        | EngineError::KeyMissing => None,
    };
    match code {
        Some(code) => format!("the database refused the stream's rows (code {code})"),
        None => "the stream's rows could not be read or written".to_owned(),
    }
}

fn of_database(error: &Error) -> FailureScope {
    let Some(told) = error.as_database_error() else {
        let timed_out = matches!(error, Error::Io(io) if io.kind() == io::ErrorKind::TimedOut);
        return if timed_out {
            FailureScope::RowIfOthersPass
        } else {
            FailureScope::NoRow
        };
    };
    if let Some(told) = told.try_downcast_ref::<PgDatabaseError>() {
        of_sqlstate(told.code())
    } else if told.try_downcast_ref::<SqliteError>().is_some() {
        let code = told.code().and_then(|code| code.parse().ok());
        code.map_or(FailureScope::NoRow, of_result_code)
    } else {
        FailureScope::NoRow
    }
}

/// Maps PostgreSQL's SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>): class 22 data, 23
/// constraints, 54 limits, P0 raised by a trigger; 57014 statement timeout, XX internal errors.
fn of_sqlstate(code: &str) -> FailureScope {
    let class = code.get(..2).unwrap_or_default();
    if ["22", "23", "54", "P0"].contains(&class) {
        FailureScope::Row
    } else if code == "57014" || class == "XX" {
        FailureScope::RowIfOthersPass
    } else {
        FailureScope::NoRow
    }
}

/// Maps SQLite's primary result codes (<https://www.sqlite.org/rescode.html>): TOOBIG, CONSTRAINT (also raised by
/// triggers), MISMATCH; INTERRUPT.
fn of_result_code(extended: i32) -> FailureScope {
    match extended & 0xff {
        18..=20 => FailureScope::Row,
        9 => FailureScope::RowIfOthersPass,
        _ => FailureScope::NoRow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_blamed_for_its_data_only() {
        for (code, blame) in [
            ("22P05", FailureScope::Row),
            ("23514", FailureScope::Row),
            ("54000", FailureScope::Row),
            ("P0001", FailureScope::Row),
            ("57014", FailureScope::RowIfOthersPass),
            ("XX000", FailureScope::RowIfOthersPass),
            ("57P01", FailureScope::NoRow),
            ("08006", FailureScope::NoRow),
            ("55P03", FailureScope::NoRow),
            ("53100", FailureScope::NoRow),
            ("40P01", FailureScope::NoRow),
            ("42P01", FailureScope::NoRow),
            ("25006", FailureScope::NoRow),
            ("", FailureScope::NoRow),
        ] {
            assert_eq!(of_sqlstate(code), blame, "{code}");
        }
        let trigger = 19 | (7 << 8);
        for (code, blame) in [
            (trigger, FailureScope::Row),
            (18, FailureScope::Row),
            (9, FailureScope::RowIfOthersPass),
            (1, FailureScope::NoRow),
            (5, FailureScope::NoRow),
            (10, FailureScope::NoRow),
            (11, FailureScope::NoRow),
            (13, FailureScope::NoRow),
        ] {
            assert_eq!(of_result_code(code), blame, "{code}");
        }
    }

    #[test]
    fn a_lost_connection_blames_nobody_and_a_silent_server_might() {
        let of = |kind: io::ErrorKind| {
            FailureScope::classify(&EngineError::ConnectionLost(Error::Io(kind.into())))
        };
        assert_eq!(of(io::ErrorKind::ConnectionReset), FailureScope::NoRow);
        assert_eq!(of(io::ErrorKind::TimedOut), FailureScope::RowIfOthersPass);
        let away = EngineError::Unavailable(Error::PoolTimedOut);
        assert_eq!(FailureScope::classify(&away), FailureScope::NoRow);
    }
}
