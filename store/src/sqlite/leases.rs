//! Stores leases; they expire by this machine's clock, which is also SQLite's.

use std::time::Duration;

use uuid::Uuid;

use super::error_class::classify;
use super::file::{File, begin, commit};
use crate::clock;
use crate::error::EngineError;

pub(super) async fn take(
    read: &File,
    names: &[String],
    holder: Uuid,
    ttl: Duration,
) -> Result<Vec<String>, EngineError> {
    let mut writing = read.write().await?;
    let mut transaction = begin(&mut writing).await?;
    let now_ms = clock::now_ms();
    let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
    let mut held = Vec::with_capacity(names.len());
    for name in names {
        let taken = sqlx::query(include_str!("queries/leases_take.sql"))
            .bind(name)
            .bind(holder)
            .bind(now_ms.saturating_add(ttl_ms))
            .bind(now_ms)
            .execute(&mut *transaction)
            .await
            .map_err(classify)?;
        if taken.rows_affected() == 1 {
            held.push(name.clone());
        }
    }
    commit(transaction).await?;
    Ok(held)
}

pub(super) async fn release(read: &File, holder: Uuid) -> Result<(), EngineError> {
    let mut writing = read.write().await?;
    sqlx::query("DELETE FROM leases WHERE holder = ?1")
        .bind(holder)
        .execute(&mut *writing)
        .await
        .map(drop)
        .map_err(classify)
}

pub(super) async fn is_held(read: &File, name: &str) -> Result<bool, EngineError> {
    let mut reading = read.read().await?;
    let found = reading
        .fetch_optional(
            sqlx::query("SELECT 1 FROM leases WHERE name = ?1 AND expires_at > ?2")
                .bind(name)
                .bind(clock::now_ms()),
        )
        .await?;
    Ok(found.is_some())
}
