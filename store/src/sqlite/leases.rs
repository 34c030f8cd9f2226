//! Leases: who leads, by this machine's clock, which is SQLite's.

use std::time::Duration;

use uuid::Uuid;

use super::failure::classify;
use super::file::File;
use crate::clock;
use crate::error::EngineError;

pub(super) async fn take(
    read: &File,
    name: &str,
    holder: Uuid,
    ttl: Duration,
) -> Result<bool, EngineError> {
    let mut writing = read.write().await?;
    let now_ms = clock::now_ms();
    let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
    let taken = sqlx::query(include_str!("queries/leases_take.sql"))
        .bind(name)
        .bind(holder)
        .bind(now_ms.saturating_add(ttl_ms))
        .bind(now_ms)
        .execute(&mut *writing)
        .await
        .map_err(classify)?;
    Ok(taken.rows_affected() == 1)
}

pub(super) async fn release(read: &File, name: &str, holder: Uuid) -> Result<(), EngineError> {
    let mut writing = read.write().await?;
    sqlx::query("DELETE FROM leases WHERE name = ?1 AND holder = ?2")
        .bind(name)
        .bind(holder)
        .execute(&mut *writing)
        .await
        .map(drop)
        .map_err(classify)
}
