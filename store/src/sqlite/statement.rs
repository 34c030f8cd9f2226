//! Builds statements whose text depends on a read model's schema or on a number of rows.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use super::error_class::classify;
use crate::chain::hex;
use crate::error::EngineError;
use crate::sql::{Arg, Statement};

/// Statement with the arguments bound so far.
pub(super) type SqliteStatement = Query<'static, Sqlite, SqliteArguments>;

/// Turns composed text into a statement; the only function that does. The text is composed from this program's
/// constants; caller input is always an argument.
pub(super) fn dynamic(sql: String) -> SqliteStatement {
    sqlx::query(AssertSqlSafe(sql))
}

/// Binds a statement of [`crate::sql`].
pub(super) fn bound(statement: Statement) -> SqliteStatement {
    statement
        .args
        .into_iter()
        .fold(dynamic(statement.sql), |query, arg| match arg {
            Arg::Uuid(id) => query.bind(id),
            Arg::Text(text) => query.bind(text),
            Arg::Bool(flag) => query.bind(flag),
            Arg::Bytes(bytes) => query.bind(bytes),
            Arg::Int(number) => query.bind(number),
        })
}

/// Insert of many rows.
#[derive(Debug)]
pub(super) struct Insert<'a> {
    /// Name of the table.
    pub(super) into: &'a str,
    /// Comma-separated columns; the first is never null.
    pub(super) columns: &'a str,
    /// Conflict clause for existing rows, or an empty string.
    pub(super) on_conflict: &'a str,
}

/// Maximum number of rows per statement: 120 columns stay within SQLite's 32,766 arguments.
const MAX_ROWS_PER_INSERT: usize = 256;
/// Numbers of rows per statement text; few, so that the statements stay prepared.
const SIZES: [usize; 5] = [1, 4, 16, 64, MAX_ROWS_PER_INSERT];

impl Insert<'_> {
    /// Returns the statements that insert `rows` in order; `bind` binds a row's arguments in the columns' order.
    pub(super) fn statements<T>(
        &self,
        rows: &[T],
        bind: impl Fn(SqliteStatement, &T) -> SqliteStatement,
    ) -> Vec<SqliteStatement> {
        let chunks = rows.chunks(MAX_ROWS_PER_INSERT);
        chunks
            .map(|chunk| chunk.iter().fold(dynamic(self.text(chunk.len())), &bind))
            .collect()
    }

    /// Returns the text for at least `rows` rows. Unbound arguments are null, and rows that start with null are
    /// skipped.
    fn text(&self, rows: usize) -> String {
        let Self {
            into,
            columns,
            on_conflict,
        } = self;
        let room = SIZES
            .into_iter()
            .find(|number| *number >= rows)
            .unwrap_or(MAX_ROWS_PER_INSERT);
        let row = vec!["?"; columns.split(',').count()].join(",");
        let values = vec![format!("({row})"); room].join(",");
        format!(
            "INSERT INTO {into} ({columns}) SELECT * FROM (VALUES {values}) \
             WHERE column1 IS NOT NULL {on_conflict}"
        )
    }
}

/// Runs statements one after the other.
pub(super) async fn run_all(
    connection: &mut SqliteConnection,
    statements: Vec<SqliteStatement>,
) -> Result<(), EngineError> {
    for statement in statements {
        statement
            .execute(&mut *connection)
            .await
            .map_err(classify)?;
    }
    Ok(())
}

/// Returns a JSON array of the items in hexadecimal, for `json_each` and `unhex`.
pub(super) fn hex_array(items: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let quoted: Vec<String> = items
        .into_iter()
        .map(|item| format!("\"{}\"", hex(item.as_ref())))
        .collect();
    format!("[{}]", quoted.join(","))
}

/// Converts a number to an SQLite integer, at most `i64::MAX`.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
