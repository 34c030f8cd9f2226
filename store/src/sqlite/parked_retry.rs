//! Writes the retries of parked streams while the projector continues.

use sqlx::SqliteConnection;

use super::error_class::classify;
use super::row_reader::SqliteRowReader;
use super::statement::int;
use crate::engine::EventLog;
use crate::error::EngineError;
use crate::read_model::{ParkedRetry, ProjectionBatch, RetryEnd};
use crate::readers::Scope;

const IS_PARKED: &str = "SELECT 1 FROM parked WHERE model = ?1 AND stream_id = ?2";

const LET_GO: &str = "DELETE FROM parked WHERE model = ?1 AND stream_id = ?2 AND position = ?3";

const STAYS: &str = "UPDATE parked SET position = ?4, reason = ?5 \
    WHERE model = ?1 AND stream_id = ?2 AND position = ?3";

const REACHED: &str = "SELECT position FROM generations WHERE name = ?1";

/// Checks whether the checkpoint has passed an event of the stream that is not in the rows. If the stream stays parked,
/// later events wait anyway.
pub(super) async fn has_passed(
    connection: &mut SqliteConnection,
    log: &impl EventLog,
    retry: &ParkedRetry<'_>,
) -> Result<bool, EngineError> {
    let RetryEnd::Complete { version } = retry.end else {
        return Ok(false);
    };
    let stream_id = retry.parked.stream_id;
    let next = log
        .read_stream(Scope::AllTenants, stream_id, version, 1)
        .await?;
    let reached = sqlx::query(REACHED)
        .bind(&retry.parked.model)
        .fetch_optional(connection)
        .await
        .map_err(classify)?;
    let Some(reached) = reached else {
        return Ok(true);
    };
    let reached: u64 = SqliteRowReader::new(&reached).number("position")?;
    Ok(next.iter().any(|event| event.position <= reached))
}

/// Unparks the stream, or updates the position from which it is parked. Returns `false` if the stream is not parked as
/// it was found.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    retry: &ParkedRetry<'_>,
) -> Result<bool, EngineError> {
    let parked = retry.parked;
    let place = |sql| {
        sqlx::query(sql)
            .bind(parked.model.as_str())
            .bind(parked.stream_id.as_uuid())
            .bind(int(parked.position))
    };
    let settled = match &retry.end {
        RetryEnd::Complete { .. } => place(LET_GO),
        RetryEnd::Blocked { position, reason } => {
            place(STAYS).bind(int(*position)).bind(reason.as_str())
        }
    };
    let settled = settled.execute(connection).await.map_err(classify)?;
    Ok(settled.rows_affected() == 1)
}

/// Checks whether the streams that a batch left out are still parked.
pub(super) async fn still_parked(
    connection: &mut SqliteConnection,
    batch: &ProjectionBatch,
) -> Result<bool, EngineError> {
    for (model, stream_id) in &batch.left_out {
        let found = sqlx::query(IS_PARKED)
            .bind(model.as_str())
            .bind(stream_id.as_uuid())
            .fetch_optional(&mut *connection)
            .await
            .map_err(classify)?;
        if found.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
