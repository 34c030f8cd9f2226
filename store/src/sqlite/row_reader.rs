//! Reads rows column by column; a value of the wrong type is reported as corruption of its column.

use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row as _, Sqlite, Type};

use crate::chain::Digest;
use crate::error::{Corruption, EngineError};

/// Row, and the position reported for corruption in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct SqliteRowReader<'r> {
    row: &'r SqliteRow,
    position: u64,
}

impl<'r> SqliteRowReader<'r> {
    /// Creates a reader for a row outside the log.
    pub(super) fn new(row: &'r SqliteRow) -> Self {
        Self { row, position: 0 }
    }

    /// Creates a reader for a row of the log.
    pub(super) fn at(row: &'r SqliteRow, position: u64) -> Self {
        Self { row, position }
    }

    pub(super) fn get<T>(self, column: &'static str) -> Result<T, EngineError>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite>,
    {
        self.row.try_get(column).map_err(|_| self.damaged(column))
    }

    /// Reads a number that is never negative.
    pub(super) fn number<T: TryFrom<i64>>(self, column: &'static str) -> Result<T, EngineError> {
        T::try_from(self.get::<i64>(column)?).map_err(|_| self.damaged(column))
    }

    pub(super) fn digest(self, column: &'static str) -> Result<Digest, EngineError> {
        self.get::<&[u8]>(column)?
            .try_into()
            .map_err(|_| self.damaged(column))
    }

    pub(super) fn damaged(self, column: &'static str) -> EngineError {
        Corruption::Column {
            column,
            position: self.position,
        }
        .into()
    }
}
