//! Writes a projection batch: rows and checkpoints in one transaction.

use roentgen_domain::ids::PatientId;
use sqlx::{Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::error::EngineError;
use crate::read_model::{
    Checkpoint, Column, ColumnKind, ParkedStream, ProjectionBatch, ReadModel, Row, Table, Value,
};
use crate::sql::Dialect;

use super::copy_in::CopyIn;
use super::row_reader::{to_bigint, wrong_kind};
use super::{DIALECT, Statement, composed, error_class, parked_retry};

const PARK: &str = "INSERT INTO read.parked (model, stream_id, position, reason) \
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[]) \
    ON CONFLICT DO NOTHING";

/// Writes a batch. Usually one read model changes; its rows and the checkpoints are then one statement, which is one
/// transaction.
pub(super) async fn write(
    connection: &mut PgConnection,
    batch: &ProjectionBatch,
) -> Result<bool, EngineError> {
    let mut changed = batch.rows.iter().filter(|row| !row.1.is_empty());
    let rows_alone = batch.parked.is_empty() && batch.left_out.is_empty() && !batch.filling;
    match (changed.next(), changed.next(), rows_alone) {
        (Some((table, rows)), None, true) => write_one(connection, batch, *table, rows).await,
        (Some(_) | None, _, _) => write_all(connection, batch).await,
    }
}

/// Writes the rows only if the checkpoints were advanced.
async fn write_one(
    connection: &mut PgConnection,
    batch: &ProjectionBatch,
    table: Table,
    rows: &[Row],
) -> Result<bool, EngineError> {
    let sql = format!(
        "{} {}",
        include_str!("queries/advance_generation_checkpoints.sql"),
        upsert_sql(table, MOVE_ARGUMENTS, " WHERE EXISTS (SELECT FROM moved)")
    );
    let statement = bind_move(sqlx::query(composed(sql)), batch);
    let written = bind_rows(statement, table.model, rows)?
        .execute(connection)
        .await
        .map_err(error_class::classify_write)?;
    Ok(written.rows_affected() > 0)
}

const BEGIN: &str = "BEGIN";
const BEGIN_FILLING: &str = "BEGIN; SET LOCAL synchronous_commit = off";

/// Writes a batch in several statements. The checkpoints advance first: of two nodes that project the same events, the
/// second waits there and finds the checkpoints advanced.
async fn write_all(
    connection: &mut PgConnection,
    batch: &ProjectionBatch,
) -> Result<bool, EngineError> {
    let written = ProjectionWrites::from_batch(batch)?;
    let begin = if batch.filling { BEGIN_FILLING } else { BEGIN };
    let begun = connection.begin_with(begin).await;
    let mut transaction = begun.map_err(error_class::classify_read)?;
    let moved = bind_move(sqlx::query(MOVE), batch)
        .fetch_one(&mut *transaction)
        .await
        .and_then(|row| row.try_get::<bool, _>(0))
        .map_err(error_class::classify_read)?;
    if !moved || !parked_retry::still_parked(&mut transaction, batch).await? {
        transaction
            .rollback()
            .await
            .map_err(error_class::classify_read)?;
        return Ok(false);
    }
    written.write(&mut transaction).await?;
    transaction
        .commit()
        .await
        .map_err(error_class::classify_write)?;
    Ok(true)
}

/// Writes of a batch other than its checkpoints, prepared before any row is locked.
#[derive(Default)]
struct ProjectionWrites<'q> {
    copied: Vec<CopyIn>,
    statements: Vec<Statement<'q>>,
}

impl<'q> ProjectionWrites<'q> {
    fn from_batch(batch: &'q ProjectionBatch) -> Result<Self, EngineError> {
        let mut written = Self::default();
        for (table, rows) in batch.rows.iter().filter(|row| !row.1.is_empty()) {
            if batch.filling {
                written.copied.push(CopyIn::encode(*table, rows)?)
            } else {
                written.statements.push(upsert(*table, rows)?)
            }
        }
        if !batch.parked.is_empty() {
            written.statements.push(park(&batch.parked));
        }
        Ok(written)
    }

    async fn write(self, connection: &mut PgConnection) -> Result<(), EngineError> {
        for copied in self.copied {
            copied.send(connection).await?;
        }
        for statement in self.statements {
            let written = statement.execute(&mut *connection).await;
            written.map_err(error_class::classify_read)?;
        }
        Ok(())
    }
}

const MOVE: &str = concat!(
    include_str!("queries/advance_generation_checkpoints.sql"),
    "SELECT EXISTS (SELECT FROM moved)"
);

/// Number of arguments of `generations_move.sql`.
const MOVE_ARGUMENTS: usize = 5;

fn bind_move<'q>(statement: Statement<'q>, batch: &'q ProjectionBatch) -> Statement<'q> {
    let from = &batch.from;
    let names = from.iter().map(|(table, _)| table.name());
    let positions = from
        .iter()
        .map(|(_, checkpoint)| to_bigint(checkpoint.position));
    let hashes = from
        .iter()
        .map(|(_, checkpoint)| checkpoint.hash.as_slice());
    statement
        .bind(names.collect::<Vec<_>>())
        .bind(positions.collect::<Vec<_>>())
        .bind(hashes.collect::<Vec<_>>())
        .bind(to_bigint(batch.to.position))
        .bind(batch.to.hash.as_slice())
}

/// Name of a checkpoint, its old value and its new value.
pub(super) type CheckpointAdvance<'a> = (&'a str, &'a Checkpoint, &'a Checkpoint);

pub(super) fn bind_checkpoint<'q>(
    statement: Statement<'q>,
    (name, from, to): CheckpointAdvance<'q>,
) -> Statement<'q> {
    statement
        .bind(name)
        .bind(to_bigint(to.position))
        .bind(to.hash.as_slice())
        .bind(to_bigint(from.position))
        .bind(from.hash.as_slice())
}

fn park(parked: &[ParkedStream]) -> Statement<'_> {
    sqlx::query(PARK)
        .bind(
            parked
                .iter()
                .map(|parked| parked.model.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            parked
                .iter()
                .map(|parked| parked.stream_id.as_uuid())
                .collect::<Vec<_>>(),
        )
        .bind(
            parked
                .iter()
                .map(|parked| to_bigint(parked.position))
                .collect::<Vec<_>>(),
        )
        .bind(
            parked
                .iter()
                .map(|parked| parked.reason.as_str())
                .collect::<Vec<_>>(),
        )
}

/// Returns one upsert of all rows of a read model, with one array per column.
pub(super) fn upsert(table: Table, rows: &[Row]) -> Result<Statement<'_>, EngineError> {
    let sql = composed(upsert_sql(table, 0, ""));
    bind_rows(sqlx::query(sql), table.model, rows)
}

fn bind_rows<'q>(
    statement: Statement<'q>,
    model: &ReadModel,
    rows: &'q [Row],
) -> Result<Statement<'q>, EngineError> {
    let mut statement = statement
        .bind(rows.iter().map(|row| row.id).collect::<Vec<_>>())
        .bind(
            rows.iter()
                .map(|row| row.tenant_id.as_uuid())
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|row| row.patient_id.map(PatientId::as_uuid))
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|row| to_bigint(row.version))
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|row| row.sort_key.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|row| row.document.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|row| row.sealed.as_slice())
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

/// Returns the upsert of the rows that pass `condition`; its arguments follow `before` others.
fn upsert_sql(table: Table, before: usize, condition: &str) -> String {
    let columns = Dialect::columns(table.model);
    let own = table.model.columns.iter().map(|column| match column.kind {
        ColumnKind::Uuid => "uuid",
        ColumnKind::Text => "text",
        ColumnKind::Bool => "boolean",
    });
    let arrays = (before + 1..)
        .zip(FIXED_TYPES.into_iter().chain(own))
        .map(|(n, kind)| format!("unnest(${n}::{kind}[])"));
    let changed = columns
        .split(", ")
        .skip(1)
        .map(|column| format!("{column} = excluded.{column}"));
    format!(
        "INSERT INTO {} ({columns}) SELECT {}{condition} \
         ON CONFLICT (id) DO UPDATE SET {}",
        DIALECT.table(table),
        arrays.collect::<Vec<_>>().join(", "),
        changed.collect::<Vec<_>>().join(", ")
    )
}

/// Types of `sql::FIXED_COLUMNS`.
const FIXED_TYPES: [&str; 7] = ["uuid", "uuid", "uuid", "bigint", "bytea", "text", "bytea"];

fn bind_column<'q>(
    statement: Statement<'q>,
    column: &Column,
    values: impl Iterator<Item = &'q Value>,
) -> Result<Statement<'q>, EngineError> {
    let bound = match column.kind {
        ColumnKind::Uuid => values
            .map(uuid)
            .collect::<Option<Vec<_>>>()
            .map(|options| statement.bind(options)),
        ColumnKind::Text => values
            .map(text)
            .collect::<Option<Vec<_>>>()
            .map(|options| statement.bind(options)),
        ColumnKind::Bool => values
            .map(bool)
            .collect::<Option<Vec<_>>>()
            .map(|options| statement.bind(options)),
    };
    bound.ok_or_else(|| wrong_kind(column))
}

/// Returns the value, or `None` if its kind is not the column's.
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
