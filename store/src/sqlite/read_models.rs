//! Writes and reads read models, and advances their checkpoints.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use roentgen_domain::ids::TenantId;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::Sqlite;
use super::error_class::classify;
use super::file::{begin, commit};
use super::parked_retry;
use super::readers::ReadConnection;
use super::row_reader::SqliteRowReader;
use super::statement::{Insert, SqliteStatement, bound, dynamic, hex_array, int, run_all};
use crate::engine::ReadModelStore;
use crate::error::EngineError;
use crate::generation::LiveTables;
use crate::pace::YieldPacer;
use crate::read_model::{
    Checkpoint, Column, ColumnKind, ListQuery, ParkedRetry, ParkedStream, ProjectionBatch,
    ReadModel, Row, RowBatchLimit, Table, Value,
};
use crate::readers::Scope;
use crate::sql::Dialect;

pub(super) const DIALECT: Dialect = Dialect {
    schema: "",
    uuid: "blob",
    bool: "integer",
    bytes: "blob",
    int: "integer",
    key_is_built: false,
};

#[async_trait]
impl ReadModelStore for Sqlite {
    fn live_tables(&self) -> &LiveTables {
        &self.live_tables
    }

    async fn read_rows(
        &self,
        scope: Scope,
        table: Table,
        ids: &[Uuid],
        most_bytes: usize,
    ) -> Result<Vec<Row>, EngineError> {
        let model = table.model;
        let columns = Dialect::columns(table.model);
        let table = DIALECT.table(table);
        let sql = format!(
            "SELECT {columns} FROM {table} WHERE id IN (SELECT unhex(value) FROM json_each(?1)) \
             AND (?2 IS NULL OR tenant_id = ?2)"
        );
        let reading = self.read.read().await?;
        let query = dynamic(sql)
            .bind(hex_array(ids))
            .bind(scope.tenant().map(TenantId::as_uuid));
        portion(reading, model, query, RowBatchLimit::new(1, most_bytes)).await
    }

    async fn list_rows(&self, table: Table, query: &ListQuery) -> Result<Vec<Row>, EngineError> {
        if query.prefixes.is_empty() {
            return Ok(Vec::new());
        }
        let reading = self.read.read().await?;
        let query = bound(DIALECT.list(table, query));
        portion(reading, table.model, query, RowBatchLimit::of_list()).await
    }

    /// Writes a projection batch. The checkpoints advance first, so that a superseded writer has written nothing.
    async fn write_projection(&self, batch: &ProjectionBatch) -> Result<bool, EngineError> {
        let mut writing = self.read.write().await?;
        let mut transaction = begin(&mut writing).await?;
        for (table, from) in &batch.from {
            if !move_table(&mut transaction, *table, *from, batch.to).await? {
                return Ok(false);
            }
        }
        if !parked_retry::still_parked(&mut transaction, batch).await? {
            return Ok(false);
        }
        for (table, rows) in &batch.rows {
            upsert(&mut transaction, *table, rows).await?;
        }
        run_all(
            &mut transaction,
            PARKED.statements(&batch.parked, parked_row),
        )
        .await?;
        commit(transaction).await?;
        Ok(true)
    }

    async fn parked(&self) -> Result<Vec<ParkedStream>, EngineError> {
        let mut reading = self.read.read().await?;
        let rows = reading
            .fetch_all(sqlx::query("SELECT * FROM parked ORDER BY position"))
            .await?;
        rows.iter().map(parked_stream).collect()
    }

    /// Writes a retry. Only one transaction writes at a time, so the checkpoint cannot advance during the retry.
    async fn write_parked_retry(&self, retry: &ParkedRetry<'_>) -> Result<bool, EngineError> {
        let mut writing = self.read.write().await?;
        let mut transaction = begin(&mut writing).await?;
        if parked_retry::has_passed(&mut transaction, self, retry).await? {
            return Ok(false);
        }
        if !parked_retry::settle(&mut transaction, retry).await? {
            return Ok(false);
        }
        for (table, rows) in &retry.rows {
            upsert(&mut transaction, *table, rows).await?;
        }
        commit(transaction).await?;
        Ok(true)
    }

    async fn count_rows(&self, table: Table) -> Result<u64, EngineError> {
        let mut reading = self.read.read_at_length().await?;
        let sql = format!("SELECT count(*) AS rows FROM {}", DIALECT.table(table));
        let row = reading.fetch_one(dynamic(sql)).await?;
        SqliteRowReader::new(&row).number("rows")
    }
}

async fn portion(
    mut reading: ReadConnection<'_>,
    model: &ReadModel,
    query: SqliteStatement,
    mut portion: RowBatchLimit,
) -> Result<Vec<Row>, EngineError> {
    let mut found = Vec::new();
    let pace = YieldPacer::begin();
    let mut rows = reading.fetch(query)?;
    while let Some(next) = rows.try_next().await.map_err(classify)? {
        let next = row(model, &next)?;
        let is_last = portion.ends_with(&next);
        found.push(next);
        if is_last {
            return Ok(found);
        }
        pace.rest().await;
    }
    drop(rows);
    reading.has_ended();
    Ok(found)
}

async fn move_table(
    connection: &mut SqliteConnection,
    table: Table,
    from: Checkpoint,
    to: Checkpoint,
) -> Result<bool, EngineError> {
    let sql = include_str!("queries/advance_generation_checkpoints.sql");
    move_named(connection, sql, &table.name(), from, to).await
}

/// Advances a subscription's checkpoint by compare-and-set.
pub(super) async fn move_checkpoint(
    connection: &mut SqliteConnection,
    name: &str,
    from: Checkpoint,
    to: Checkpoint,
) -> Result<bool, EngineError> {
    let sql = if from == Checkpoint::START {
        include_str!("queries/insert_checkpoint.sql")
    } else {
        include_str!("queries/advance_checkpoint.sql")
    };
    move_named(connection, sql, name, from, to).await
}

async fn move_named(
    connection: &mut SqliteConnection,
    sql: &'static str,
    name: &str,
    from: Checkpoint,
    to: Checkpoint,
) -> Result<bool, EngineError> {
    let moved = sqlx::query(sql)
        .bind(name)
        .bind(int(to.position))
        .bind(to.hash.to_vec())
        .bind(int(from.position))
        .bind(from.hash.to_vec())
        .execute(connection)
        .await
        .map_err(classify)?;
    Ok(moved.rows_affected() == 1)
}

pub(super) async fn upsert(
    connection: &mut SqliteConnection,
    table: Table,
    rows: &[Row],
) -> Result<(), EngineError> {
    let columns = Dialect::columns(table.model);
    let changed = columns.split(", ").filter(|column| *column != "id");
    let assignments: Vec<String> = changed
        .map(|changed| format!("{changed} = excluded.{changed}"))
        .collect();
    let insert = Insert {
        into: &DIALECT.table(table),
        columns: &columns,
        on_conflict: &format!("ON CONFLICT (id) DO UPDATE SET {}", assignments.join(", ")),
    };
    run_all(connection, insert.statements(rows, model_row)).await
}

fn model_row(query: SqliteStatement, row: &Row) -> SqliteStatement {
    let fixed = query
        .bind(row.id)
        .bind(row.tenant_id.as_uuid())
        .bind(row.patient_id.map(|id| id.as_uuid()))
        .bind(int(row.version))
        .bind(row.sort_key.as_slice())
        .bind(row.document.as_str())
        .bind(row.sealed.as_slice());
    row.values.iter().fold(fixed, |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Uuid(id) => query.bind(*id),
        Value::Text(text) => query.bind(text.as_str()),
        Value::Bool(truth) => query.bind(*truth),
    })
}

fn row(model: &ReadModel, row: &SqliteRow) -> Result<Row, EngineError> {
    let fields = SqliteRowReader::new(row);
    let values = model
        .columns
        .iter()
        .map(|column| value(fields, column))
        .collect::<Result<_, _>>()?;
    Ok(Row {
        id: fields.get("id")?,
        tenant_id: fields.get::<Uuid>("tenant_id")?.into(),
        patient_id: fields.get::<Option<Uuid>>("patient_id")?.map(Into::into),
        version: fields.number("version")?,
        sort_key: fields.get("sort_key")?,
        values,
        document: fields.get("document")?,
        sealed: fields.get("sealed")?,
    })
}

fn value(fields: SqliteRowReader<'_>, column: &Column) -> Result<Value, EngineError> {
    Ok(match column.kind {
        ColumnKind::Uuid => Value::uuid(fields.get(column.name)?),
        ColumnKind::Text => Value::text(fields.get::<Option<String>>(column.name)?),
        ColumnKind::Bool => fields
            .get::<Option<bool>>(column.name)?
            .map_or(Value::Null, Value::Bool),
    })
}

/// Insert of parked streams; the first position found stays.
const PARKED: Insert<'static> = Insert {
    into: "parked",
    columns: "model, stream_id, position, reason",
    on_conflict: "ON CONFLICT DO NOTHING",
};

fn parked_row(query: SqliteStatement, parked: &ParkedStream) -> SqliteStatement {
    query
        .bind(parked.model.as_str())
        .bind(parked.stream_id.as_uuid())
        .bind(int(parked.position))
        .bind(parked.reason.as_str())
}

fn parked_stream(row: &SqliteRow) -> Result<ParkedStream, EngineError> {
    let fields = SqliteRowReader::new(row);
    Ok(ParkedStream {
        model: fields.get("model")?,
        stream_id: fields.get::<Uuid>("stream_id")?.into(),
        position: fields.number("position")?,
        reason: fields.get("reason")?,
    })
}
