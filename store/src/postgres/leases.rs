//! Stores leases, which expire by the database's clock.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::Postgres;
use super::row_reader::PgRowReader;
use crate::engine::LeaseStore;
use crate::error::EngineError;

#[async_trait]
impl LeaseStore for Postgres {
    async fn acquire_leases(
        &self,
        names: &[String],
        holder: Uuid,
        ttl: Duration,
    ) -> Result<Vec<String>, EngineError> {
        let millis = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let statement = sqlx::query(include_str!("queries/acquire_leases.sql"))
            .bind(names)
            .bind(holder)
            .bind(millis);
        let name = |row: &PgRow| Ok(PgRowReader::new(row).text(0, "name")?.to_owned());
        self.fetch(statement, name).await
    }

    async fn release_leases(&self, holder: Uuid) -> Result<(), EngineError> {
        let statement = sqlx::query("DELETE FROM read.leases WHERE holder = $1");
        self.execute(statement.bind(holder)).await.map(drop)
    }

    async fn is_leased(&self, name: &str) -> Result<bool, EngineError> {
        let statement = sqlx::query(
            "SELECT 1 FROM read.leases WHERE name = $1 AND expires_at > clock_timestamp()",
        );
        let found = self.fetch(statement.bind(name), |_| Ok(())).await?;
        Ok(!found.is_empty())
    }
}
