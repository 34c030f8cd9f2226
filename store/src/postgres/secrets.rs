//! Stores sealed secrets: inserted and read, never changed.

use roentgen_domain::ids::{SecretId, TenantId};

use super::Postgres;
use super::row_reader::PgRowReader;
use crate::clock;
use crate::error::EngineError;
use crate::secrets::SealedSecret;

const PUT: &str = "INSERT INTO secrets (tenant, id, sealed, created_at, master_id)
    VALUES ($1, $2, $3, $4, (SELECT value FROM meta WHERE name = 'master_key_fingerprint'))";
const OF: &str = "SELECT sealed FROM secrets WHERE tenant = $1 AND id = $2";

impl Postgres {
    pub(super) async fn keep_secret(&self, secret: &SealedSecret) -> Result<(), EngineError> {
        let statement = sqlx::query(PUT)
            .bind(secret.tenant_id.as_uuid())
            .bind(secret.id.as_uuid())
            .bind(secret.sealed.as_slice())
            .bind(clock::now_ms());
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn secret_of(
        &self,
        tenant: TenantId,
        id: SecretId,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let statement = sqlx::query(OF).bind(tenant.as_uuid()).bind(id.as_uuid());
        let found = self.fetch(statement, |row| {
            Ok(PgRowReader::new(row).bytes(0, "sealed")?.to_owned())
        });
        Ok(found.await?.pop())
    }
}
