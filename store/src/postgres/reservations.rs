//! Stores reservations, leases and fingerprints, each under a unique key or name.

use std::time::Duration;

use roentgen_domain::ids::StreamId;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::error::{Corruption, EngineError};
use crate::log::{HeldReservation, ReservationKey};

use super::Postgres;
use super::row_reader::PgRowReader;

/// Lookup of a reservation of any age: a condition on the expiry would let the planner use the expiry's index.
const CLAIM: &str =
    "SELECT request_hash, stream_id, version, expires_at FROM claims WHERE key = $1";

const FINGERPRINT: &str =
    "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";

const FINGERPRINT_KNOWN: &str = "SELECT value FROM meta WHERE name = $1";

impl Postgres {
    pub(super) async fn held_claim(
        &self,
        key: ReservationKey,
        now_ms: i64,
    ) -> Result<Option<HeldReservation>, EngineError> {
        let statement = sqlx::query(CLAIM).bind(key.0.as_slice());
        let held = self.fetch(statement, |row| {
            let columns = PgRowReader::new(row);
            Ok(HeldReservation {
                request_hash: columns.digest(0, "request_hash")?,
                stream_id: StreamId::from(columns.uuid(1, "stream_id")?),
                version: columns.count(2, "version")?,
                expires_at_ms: columns.bigint(3, "expires_at")?,
            })
        });
        Ok(held.await?.pop().filter(|held| held.expires_at_ms > now_ms))
    }

    pub(super) async fn forget_claims(&self, now_ms: i64, limit: u32) -> Result<u64, EngineError> {
        let statement = sqlx::query(include_str!("queries/claims_forget.sql"))
            .bind(now_ms)
            .bind(i64::from(limit));
        self.execute(statement).await
    }

    /// Returns the fingerprint recorded under this name, after recording `candidate` if there was none.
    pub(super) async fn fingerprint(
        &self,
        name: &str,
        candidate: &[u8],
    ) -> Result<Vec<u8>, EngineError> {
        self.execute(sqlx::query(FINGERPRINT).bind(name).bind(candidate))
            .await?;
        Ok(self
            .known_fingerprint(name)
            .await?
            .ok_or(Corruption::Column {
                column: "value",
                position: 0,
            })?)
    }

    /// Returns the fingerprint recorded under this name, if any.
    pub(super) async fn known_fingerprint(
        &self,
        name: &str,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let known = self.fetch(sqlx::query(FINGERPRINT_KNOWN).bind(name), |row| {
            Ok(PgRowReader::new(row).bytes(0, "value")?.to_owned())
        });
        Ok(known.await?.pop())
    }

    pub(super) async fn take_leases(
        &self,
        names: &[String],
        holder: Uuid,
        ttl: Duration,
    ) -> Result<Vec<String>, EngineError> {
        let millis = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let statement = sqlx::query(include_str!("queries/leases_take.sql"))
            .bind(names)
            .bind(holder)
            .bind(millis);
        let name = |row: &PgRow| Ok(PgRowReader::new(row).text(0, "name")?.to_owned());
        self.fetch(statement, name).await
    }

    pub(super) async fn give_leases_back(&self, holder: Uuid) -> Result<(), EngineError> {
        let statement = sqlx::query("DELETE FROM read.leases WHERE holder = $1");
        self.execute(statement.bind(holder)).await.map(drop)
    }

    pub(super) async fn lease_is_held(&self, name: &str) -> Result<bool, EngineError> {
        let statement = sqlx::query(
            "SELECT 1 FROM read.leases WHERE name = $1 AND expires_at > clock_timestamp()",
        );
        let found = self.fetch(statement.bind(name), |_| Ok(())).await?;
        Ok(!found.is_empty())
    }
}
