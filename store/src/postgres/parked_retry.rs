//! Writes the retries of parked streams while the projector continues.

use sqlx::{Connection as _, PgConnection, Row as _};

use crate::engine::EventLog as _;
use crate::error::EngineError;
use crate::read_model::{ParkedRetry, ProjectionBatch, RetryEnd};
use crate::readers::Scope;

use super::row_reader::to_bigint;
use super::write_projection::upsert;
use super::{Postgres, error_class};

/// Lock of the checkpoint; projectors wait for it.
const HOLD: &str = "SELECT position FROM read.generations WHERE name = $1 FOR UPDATE";

const STILL_PARKED: &str = "SELECT count(*) FROM unnest($1::text[], $2::uuid[]) \
    AS it (model, stream_id) JOIN read.parked USING (model, stream_id)";

const UNPARK: &str = "DELETE FROM read.parked \
    WHERE model = $1 AND stream_id = $2 AND position = $3";

const MOVE_PARKED: &str = "UPDATE read.parked SET position = $4, reason = $5 \
    WHERE model = $1 AND stream_id = $2 AND position = $3";

/// Writes a retry, with the checkpoint locked.
pub(super) async fn write(
    engine: &Postgres,
    connection: &mut PgConnection,
    retry: &ParkedRetry<'_>,
) -> Result<bool, EngineError> {
    let mut transaction = connection
        .begin()
        .await
        .map_err(error_class::classify_read)?;
    let reached = sqlx::query(HOLD)
        .bind(&retry.parked.model)
        .fetch_optional(&mut *transaction)
        .await;
    let reached: i64 = match reached.map_err(error_class::classify_read)? {
        Some(row) => row.try_get(0).map_err(error_class::classify_read)?,
        None => return Ok(false),
    };
    if has_passed(engine, retry, reached).await? || !update_parked(&mut transaction, retry).await? {
        transaction
            .rollback()
            .await
            .map_err(error_class::classify_read)?;
        return Ok(false);
    }
    for (table, rows) in retry.rows.iter().filter(|row| !row.1.is_empty()) {
        let written = upsert(*table, rows)?.execute(&mut *transaction).await;
        written.map_err(error_class::classify_read)?;
    }
    transaction
        .commit()
        .await
        .map_err(error_class::classify_write)?;
    Ok(true)
}

/// Checks whether the checkpoint has passed an event of the stream that is not in the rows. If the stream stays
/// parked, later events wait anyway.
async fn has_passed(
    engine: &Postgres,
    retry: &ParkedRetry<'_>,
    reached: i64,
) -> Result<bool, EngineError> {
    let RetryEnd::Complete { version } = retry.end else {
        return Ok(false);
    };
    let next = engine
        .read_stream(Scope::AllTenants, retry.parked.stream_id, version, 1)
        .await?;
    Ok(next
        .iter()
        .any(|event| to_bigint(event.position) <= reached))
}

/// Unparks the stream, or updates the position from which it is parked. Returns `false` if the stream is not parked as
/// it was found.
async fn update_parked(
    connection: &mut PgConnection,
    retry: &ParkedRetry<'_>,
) -> Result<bool, EngineError> {
    let parked = retry.parked;
    let place = |sql| {
        sqlx::query(sql)
            .bind(parked.model.as_str())
            .bind(parked.stream_id.as_uuid())
            .bind(to_bigint(parked.position))
    };
    let settled = match &retry.end {
        RetryEnd::Complete { .. } => place(UNPARK),
        RetryEnd::Blocked { position, reason } => place(MOVE_PARKED)
            .bind(to_bigint(*position))
            .bind(reason.as_str()),
    };
    let settled = settled
        .execute(connection)
        .await
        .map_err(error_class::classify_read)?;
    Ok(settled.rows_affected() == 1)
}

/// Checks whether the streams that a batch left out are still parked.
pub(super) async fn still_parked(
    connection: &mut PgConnection,
    batch: &ProjectionBatch,
) -> Result<bool, EngineError> {
    if batch.left_out.is_empty() {
        return Ok(true);
    }
    let (models, streams): (Vec<&str>, Vec<_>) = batch
        .left_out
        .iter()
        .map(|(model, stream_id)| (model.as_str(), stream_id.as_uuid()))
        .unzip();
    let found = sqlx::query(STILL_PARKED)
        .bind(models)
        .bind(streams)
        .fetch_one(connection)
        .await
        .map_err(error_class::classify_read)?;
    let found: i64 = found.try_get(0).map_err(error_class::classify_read)?;
    Ok(found == to_bigint(batch.left_out.len() as u64))
}
