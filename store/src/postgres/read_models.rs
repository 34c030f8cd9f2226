//! Queries read models: tables, rows and lists.

use async_trait::async_trait;
use roentgen_domain::ids::{PatientId, StreamId, TenantId};
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::engine::ReadModelStore;
use crate::error::EngineError;
use crate::generation::LiveTables;
use crate::read_model::{
    Column, ColumnKind, ListQuery, ParkedRetry, ParkedStream, ProjectionBatch, ReadModel, Row,
    RowBatchLimit, Table, Value,
};
use crate::readers::Scope;
use crate::sql::{Arg, Dialect};

use super::row_reader::PgRowReader;
use super::{DIALECT, Postgres, Statement, composed, parked_retry, write_projection};

const PARKED: &str = "SELECT model, stream_id, position, reason FROM read.parked \
                      ORDER BY model, stream_id";

#[async_trait]
impl ReadModelStore for Postgres {
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
        let sql = format!(
            "SELECT {} FROM {} WHERE id = ANY($1) AND ($2::uuid IS NULL OR tenant_id = $2)",
            Dialect::columns(table.model),
            DIALECT.table(table)
        );
        let tenant = scope.tenant().map(TenantId::as_uuid);
        let statement = sqlx::query(composed(sql)).bind(ids).bind(tenant);
        self.portion(table.model, statement, RowBatchLimit::new(1, most_bytes))
            .await
    }

    async fn list_rows(&self, table: Table, query: &ListQuery) -> Result<Vec<Row>, EngineError> {
        let list = DIALECT.list(table, query);
        let statement = list
            .args
            .into_iter()
            .fold(sqlx::query(composed(list.sql)), bind);
        self.portion(table.model, statement, RowBatchLimit::of_list())
            .await
    }

    async fn write_projection(&self, batch: &ProjectionBatch) -> Result<bool, EngineError> {
        self.with_projector(async |connection| write_projection::write(connection, batch).await)
            .await
    }

    async fn parked(&self) -> Result<Vec<ParkedStream>, EngineError> {
        self.fetch(sqlx::query(PARKED), |row| {
            let columns = PgRowReader::new(row);
            Ok(ParkedStream {
                model: columns.text(0, "model")?.to_owned(),
                stream_id: StreamId::from(columns.uuid(1, "stream_id")?),
                position: columns.count(2, "position")?,
                reason: columns.text(3, "reason")?.to_owned(),
            })
        })
        .await
    }

    async fn write_parked_retry(&self, retry: &ParkedRetry<'_>) -> Result<bool, EngineError> {
        self.with_projector(async |connection| parked_retry::write(self, connection, retry).await)
            .await
    }

    async fn count_rows(&self, table: Table) -> Result<u64, EngineError> {
        let sql = format!("SELECT count(*) FROM {}", DIALECT.table(table));
        let count = self
            .fetch_number_without_timeout(sqlx::query(composed(sql)))
            .await?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }
}

impl Postgres {
    async fn portion(
        &self,
        model: &ReadModel,
        statement: Statement<'_>,
        mut portion: RowBatchLimit,
    ) -> Result<Vec<Row>, EngineError> {
        let decoded = |row: &PgRow| decode(model, row);
        self.fetch_until(statement, decoded, |row| portion.ends_with(row))
            .await
    }
}

fn bind(statement: Statement<'_>, arg: Arg) -> Statement<'_> {
    match arg {
        Arg::Uuid(id) => statement.bind(id),
        Arg::Text(text) => statement.bind(text),
        Arg::Bool(truth) => statement.bind(truth),
        Arg::Bytes(bytes) => statement.bind(bytes),
        Arg::Int(number) => statement.bind(number),
    }
}

/// Decodes a row in the order of [`Dialect::columns`].
fn decode(model: &ReadModel, row: &PgRow) -> Result<Row, EngineError> {
    let columns = PgRowReader::new(row);
    let own = (7..).zip(model.columns);
    Ok(Row {
        id: columns.uuid(0, "id")?,
        tenant_id: TenantId::from(columns.uuid(1, "tenant_id")?),
        patient_id: columns.maybe_uuid(2, "patient_id")?.map(PatientId::from),
        version: columns.count(3, "version")?,
        sort_key: columns.bytes(4, "sort_key")?.to_owned(),
        document: columns.text(5, "document")?.to_owned(),
        sealed: columns.bytes(6, "sealed")?.to_owned(),
        values: own
            .map(|(n, column)| value(&columns, n, column))
            .collect::<Result<_, _>>()?,
    })
}

fn value(columns: &PgRowReader<'_>, n: usize, column: &Column) -> Result<Value, EngineError> {
    if columns.maybe_bytes(n, column.name)?.is_none() {
        return Ok(Value::Null);
    }
    Ok(match column.kind {
        ColumnKind::Uuid => Value::Uuid(columns.uuid(n, column.name)?),
        ColumnKind::Text => Value::Text(columns.text(n, column.name)?.to_owned()),
        ColumnKind::Bool => Value::Bool(columns.bytes(n, column.name)? == [1]),
    })
}

#[cfg(test)]
mod tests;
