//! Columns by index, straight from the wire: a replay decodes millions of rows.

use sqlx::postgres::{PgRow, PgValueRef};
use sqlx::{Row as _, ValueRef as _};
use uuid::Uuid;

use crate::chain::Digest;
use crate::error::{Corruption, EngineError};
use crate::read_model::Column;

/// One row's columns; `position` says where damage is.
pub(super) struct PgRowReader<'r> {
    pub(super) row: &'r PgRow,
    pub(super) position: u64,
}

type Decoded<T> = Result<T, EngineError>;

impl<'r> PgRowReader<'r> {
    /// Columns of a row outside the log.
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

    /// `None` where the column is null.
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

    /// A `bigint`.
    pub(super) fn bigint(&self, index: usize, name: &'static str) -> Decoded<i64> {
        self.fixed(index, name).map(i64::from_be_bytes)
    }

    /// A `bigint` that counts something.
    pub(super) fn count(&self, index: usize, name: &'static str) -> Decoded<u64> {
        u64::try_from(self.bigint(index, name)?).map_err(|_| self.damaged(name))
    }

    /// An `integer` that counts something.
    pub(super) fn small_count(&self, index: usize, name: &'static str) -> Decoded<u32> {
        let stored = self.fixed(index, name).map(i32::from_be_bytes)?;
        u32::try_from(stored).map_err(|_| self.damaged(name))
    }
}

/// A position or version as the database takes it. What lies beyond is nowhere, and stays beyond.
pub(super) fn to_bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A value that its column cannot hold.
pub(super) fn wrong_kind(column: &Column) -> EngineError {
    Corruption::Column {
        column: column.name,
        position: 0,
    }
    .into()
}
