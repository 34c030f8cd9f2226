//! Reads columns by index, directly from the wire format: a rebuild decodes millions of rows.

use sqlx::postgres::{PgRow, PgValueRef};
use sqlx::{Row as _, ValueRef as _};
use uuid::Uuid;

use crate::chain::Digest;
use crate::error::{Corruption, EngineError};
use crate::read_model::Column;

/// Columns of one row; `position` is reported for corruption.
pub(super) struct PgRowReader<'r> {
    pub(super) row: &'r PgRow,
    pub(super) position: u64,
}

type Decoded<T> = Result<T, EngineError>;

impl<'r> PgRowReader<'r> {
    /// Creates a reader for a row outside the log.
    pub(super) fn new(row: &'r PgRow) -> Self {
        Self { row, position: 0 }
    }

    pub(super) fn damaged(&self, column: &'static str) -> EngineError {
        Corruption::Column {
            column,
            position: self.position,
        }
        .into()
    }

    /// Returns the column's bytes, or `None` if the column is null.
    pub(super) fn maybe_bytes(
        &self,
        index: usize,
        name: &'static str,
    ) -> Decoded<Option<&'r [u8]>> {
        let value: PgValueRef<'r> = self
            .row
            .try_get_raw(index)
            .map_err(|_| self.damaged(name))?;
        if value.is_null() {
            return Ok(None);
        }
        value.as_bytes().map(Some).map_err(|_| self.damaged(name))
    }

    pub(super) fn bytes(&self, index: usize, name: &'static str) -> Decoded<&'r [u8]> {
        self.maybe_bytes(index, name)?
            .ok_or_else(|| self.damaged(name))
    }

    fn fixed<const N: usize>(&self, index: usize, name: &'static str) -> Decoded<[u8; N]> {
        self.bytes(index, name)?
            .try_into()
            .map_err(|_| self.damaged(name))
    }

    pub(super) fn digest(&self, index: usize, name: &'static str) -> Decoded<Digest> {
        self.fixed(index, name)
    }

    pub(super) fn uuid(&self, index: usize, name: &'static str) -> Decoded<Uuid> {
        self.fixed(index, name).map(Uuid::from_bytes)
    }

    pub(super) fn maybe_uuid(&self, index: usize, name: &'static str) -> Decoded<Option<Uuid>> {
        let Some(bytes) = self.maybe_bytes(index, name)? else {
            return Ok(None);
        };
        Uuid::from_slice(bytes)
            .map(Some)
            .map_err(|_| self.damaged(name))
    }

    pub(super) fn text(&self, index: usize, name: &'static str) -> Decoded<&'r str> {
        str::from_utf8(self.bytes(index, name)?).map_err(|_| self.damaged(name))
    }

    /// Reads a `bigint`.
    pub(super) fn bigint(&self, index: usize, name: &'static str) -> Decoded<i64> {
        self.fixed(index, name).map(i64::from_be_bytes)
    }

    /// Reads a `bigint` that is never negative.
    pub(super) fn count(&self, index: usize, name: &'static str) -> Decoded<u64> {
        u64::try_from(self.bigint(index, name)?).map_err(|_| self.damaged(name))
    }

    /// Reads an `integer` that is never negative.
    pub(super) fn small_count(&self, index: usize, name: &'static str) -> Decoded<u32> {
        let stored = self.fixed(index, name).map(i32::from_be_bytes)?;
        u32::try_from(stored).map_err(|_| self.damaged(name))
    }
}

/// Converts a position or version to a `bigint`. Larger values become `i64::MAX`, where there is no event.
pub(super) fn to_bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns the error for a value that its column cannot hold.
pub(super) fn wrong_kind(column: &Column) -> EngineError {
    Corruption::Column {
        column: column.name,
        position: 0,
    }
    .into()
}
