//! A projection's batch: its rows and its checkpoint in one transaction.

use roentgen_domain::ids::PatientId;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::error::{Damage, EngineError};
use crate::model::{Column, ColumnKind, Model, Parked, ProjectionBatch, Row, Value};
use crate::sql::Dialect;

use super::columns::stored;
use super::{ANSWER_TIMEOUT, DIALECT, Postgres, Statement, composed, failure};

const PARK: &str = "INSERT INTO read.parked (projection, model, stream_id, position, reason) \
    SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::bigint[], $5::text[]) \
    ON CONFLICT DO NOTHING";

impl Postgres {
    pub(super) async fn write_projection(
        &self,
        batch: &ProjectionBatch<'_>,
    ) -> Result<bool, EngineError> {
        let mut connection = self
            .projectors
            .acquire()
            .await
            .map_err(EngineError::Unavailable)?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, write(&mut connection, batch)).await;
        answer.unwrap_or_else(|_| {
            drop(connection.detach());
            Err(EngineError::Broken(failure::timed_out()))
        })
    }
}

/// The checkpoint goes first: of two that project the same events the second waits there, and finds it moved.
async fn write(
    connection: &mut PgConnection,
    batch: &ProjectionBatch<'_>,
) -> Result<bool, EngineError> {
    let mut transaction = connection.begin().await.map_err(failure::of_read)?;
    let mut statements = Vec::with_capacity(batch.rows.len() + 1);
    for (model, rows) in batch.rows.iter().filter(|it| !it.1.is_empty()) {
        statements.push(upsert(model, rows)?);
    }
    if !batch.parked.is_empty() {
        statements.push(park(batch.projection, &batch.parked));
    }
    let moved = move_checkpoint(batch).execute(&mut *transaction).await;
    if moved.map_err(failure::of_read)?.rows_affected() == 0 {
        transaction.rollback().await.map_err(failure::of_read)?;
        return Ok(false);
    }
    for statement in statements {
        statement
            .execute(&mut *transaction)
            .await
            .map_err(failure::of_read)?;
    }
    transaction.commit().await.map_err(failure::of_write)?;
    Ok(true)
}

fn move_checkpoint<'q>(batch: &'q ProjectionBatch<'_>) -> Statement<'q> {
    sqlx::query(include_str!("queries/checkpoints_move.sql"))
        .bind(batch.projection)
        .bind(stored(batch.to.position))
        .bind(batch.to.hash.as_slice())
        .bind(stored(batch.from.position))
        .bind(batch.from.hash.as_slice())
}

fn park<'q>(projection: &'q str, parked: &'q [Parked]) -> Statement<'q> {
    sqlx::query(PARK)
        .bind(projection)
        .bind(
            parked
                .iter()
                .map(|it| it.model.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            parked
                .iter()
                .map(|it| it.stream_id.as_uuid())
                .collect::<Vec<_>>(),
        )
        .bind(
            parked
                .iter()
                .map(|it| stored(it.position))
                .collect::<Vec<_>>(),
        )
        .bind(
            parked
                .iter()
                .map(|it| it.reason.as_str())
                .collect::<Vec<_>>(),
        )
}

/// All rows of a model as one statement with an array a column.
fn upsert<'q>(model: &Model, rows: &'q [Row]) -> Result<Statement<'q>, EngineError> {
    let mut statement = sqlx::query(composed(upsert_sql(model)))
        .bind(rows.iter().map(|it| it.id).collect::<Vec<_>>())
        .bind(
            rows.iter()
                .map(|it| it.tenant_id.as_uuid())
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|it| it.patient_id.map(PatientId::as_uuid))
                .collect::<Vec<_>>(),
        )
        .bind(rows.iter().map(|it| stored(it.version)).collect::<Vec<_>>())
        .bind(
            rows.iter()
                .map(|it| it.sort_key.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|it| it.document.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|it| it.sealed.as_slice())
                .collect::<Vec<_>>(),
        );
    for (n, column) in model.columns.iter().enumerate() {
        let values = rows
            .iter()
            .map(|row| row.values.get(n).unwrap_or(&Value::Null));
        statement = bind_column(statement, column, values)?;
    }
    Ok(statement)
}

fn upsert_sql(model: &Model) -> String {
    let columns = Dialect::columns(model);
    let own = (8..)
        .zip(model.columns)
        .map(|(n, Column { kind, .. })| match kind {
            ColumnKind::Uuid => format!(", ${n}::uuid[]"),
            ColumnKind::Text => format!(", ${n}::text[]"),
            ColumnKind::Bool => format!(", ${n}::boolean[]"),
        });
    let changed = columns
        .split(", ")
        .skip(1)
        .map(|it| format!("{it} = excluded.{it}"));
    format!(
        "INSERT INTO {} ({columns}) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], \
         $4::bigint[], $5::bytea[], $6::text[], $7::bytea[]{}) ON CONFLICT (id) DO UPDATE SET {}",
        DIALECT.table(model),
        own.collect::<String>(),
        changed.collect::<Vec<_>>().join(", ")
    )
}

fn bind_column<'q>(
    statement: Statement<'q>,
    column: &Column,
    values: impl Iterator<Item = &'q Value>,
) -> Result<Statement<'q>, EngineError> {
    let wrong = || {
        Damage::Column {
            column: column.name,
            position: 0,
        }
        .into()
    };
    let bound = match column.kind {
        ColumnKind::Uuid => values
            .map(uuid)
            .collect::<Option<Vec<_>>>()
            .map(|it| statement.bind(it)),
        ColumnKind::Text => values
            .map(text)
            .collect::<Option<Vec<_>>>()
            .map(|it| statement.bind(it)),
        ColumnKind::Bool => values
            .map(bool)
            .collect::<Option<Vec<_>>>()
            .map(|it| statement.bind(it)),
    };
    bound.ok_or_else(wrong)
}

/// `None` where the value is of another kind than its column.
fn uuid(value: &Value) -> Option<Option<Uuid>> {
    match value {
        Value::Null => Some(None),
        Value::Uuid(id) => Some(Some(*id)),
        Value::Text(_) | Value::Bool(_) => None,
    }
}

fn text(value: &Value) -> Option<Option<&str>> {
    match value {
        Value::Null => Some(None),
        Value::Text(text) => Some(Some(text)),
        Value::Uuid(_) | Value::Bool(_) => None,
    }
}

fn bool(value: &Value) -> Option<Option<bool>> {
    match value {
        Value::Null => Some(None),
        Value::Bool(truth) => Some(Some(*truth)),
        Value::Uuid(_) | Value::Text(_) => None,
    }
}
