//! Stores leases; they expire by this machine's clock, which is also SQLite's.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::Sqlite;
use super::error_class::classify;
use super::file::{begin, commit};
use crate::clock;
use crate::engine::LeaseStore;
use crate::error::EngineError;

#[async_trait]
impl LeaseStore for Sqlite {
    async fn acquire_leases(
        &self,
        names: &[String],
        holder: Uuid,
        ttl: Duration,
    ) -> Result<Vec<String>, EngineError> {
        let mut writing = self.read.write().await?;
        let mut transaction = begin(&mut writing).await?;
        let now_ms = clock::now_ms();
        let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let mut held = Vec::with_capacity(names.len());
        for name in names {
            let taken = sqlx::query(include_str!("queries/acquire_leases.sql"))
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

    async fn release_leases(&self, holder: Uuid) -> Result<(), EngineError> {
        let mut writing = self.read.write().await?;
        sqlx::query("DELETE FROM leases WHERE holder = ?1")
            .bind(holder)
            .execute(&mut *writing)
            .await
            .map(drop)
            .map_err(classify)
    }

    async fn is_leased(&self, name: &str) -> Result<bool, EngineError> {
        let mut reading = self.read.read().await?;
        let found = reading
            .fetch_optional(
                sqlx::query("SELECT 1 FROM leases WHERE name = ?1 AND expires_at > ?2")
                    .bind(name)
                    .bind(clock::now_ms()),
            )
            .await?;
        Ok(found.is_some())
    }
}
