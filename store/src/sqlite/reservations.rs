//! Reads and deletes reservations outside an append.

use uuid::Uuid;

use super::error_class::classify;
use super::file::File;
use super::row_reader::SqliteRowReader;
use crate::error::EngineError;
use crate::log::{HeldReservation, ReservationKey};

pub(super) async fn find(
    log: &File,
    key: ReservationKey,
    now_ms: i64,
) -> Result<Option<HeldReservation>, EngineError> {
    let mut reading = log.read().await?;
    let found = reading
        .fetch_optional(
            sqlx::query("SELECT * FROM claims WHERE key = ?1 AND expires_at > ?2")
                .bind(key.0.to_vec())
                .bind(now_ms),
        )
        .await?;
    let Some(row) = found else { return Ok(None) };
    let fields = SqliteRowReader::new(&row);
    Ok(Some(HeldReservation {
        request_hash: fields.digest("request_hash")?,
        stream_id: fields.get::<Uuid>("stream_id")?.into(),
        version: fields.number("version")?,
        expires_at_ms: fields.get("expires_at")?,
    }))
}

pub(super) async fn sweep(log: &File, now_ms: i64, limit: u32) -> Result<u64, EngineError> {
    let mut writing = log.write().await?;
    let swept = sqlx::query(include_str!("queries/claims_sweep.sql"))
        .bind(now_ms)
        .bind(limit)
        .execute(&mut *writing)
        .await
        .map_err(classify)?;
    Ok(swept.rows_affected())
}
