//! Stores patient keys, their tombstones, and the log's register of keys.

use async_trait::async_trait;
use roentgen_domain::ids::{PatientId, SecretId, TenantId};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::clock;
use crate::engine::{KeyBinding, KeyStore, SERVED_WITH_TOKENS, SealedSecret};
use crate::error::{Corruption, EngineError, KeyMismatch};
use crate::log::{KeyState, KnownKeys, NewPatientKey, RegisteredKey, WrappedKey};

use super::Postgres;
use super::row_reader::{PgRowReader, to_bigint};

/// Name of the stored fingerprint of the master key.
const MASTER_KEY: &str = "master_key_fingerprint";
const REGISTERED: &str =
    "SELECT number, key_id FROM key_register WHERE number > $1 ORDER BY number LIMIT $2";
const LAST_REGISTERED: &str =
    "SELECT number, key_id FROM key_register WHERE number > $1 ORDER BY number DESC LIMIT $2";

const PUT_SECRET: &str = "INSERT INTO secrets (tenant, id, sealed, created_at, master_id)
    VALUES ($1, $2, $3, $4, (SELECT value FROM meta WHERE name = 'master_key_fingerprint'))";
const SECRET: &str = "SELECT sealed FROM secrets WHERE tenant = $1 AND id = $2";

const INSERT_META: &str =
    "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";

const META: &str = "SELECT value FROM meta WHERE name = $1";

#[async_trait]
impl KeyStore for Postgres {
    async fn patient_keys(
        &self,
        patients: &[(TenantId, PatientId)],
    ) -> Result<Vec<KnownKeys>, EngineError> {
        let tenants: Vec<Uuid> = patients.iter().map(|patient| patient.0.as_uuid()).collect();
        let ids: Vec<Uuid> = patients.iter().map(|patient| patient.1.as_uuid()).collect();
        let statement = sqlx::query(include_str!("queries/patient_keys_select.sql"))
            .bind(tenants)
            .bind(ids);
        self.fetch(statement, known_keys).await
    }

    async fn keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyState>, EngineError> {
        let statement = sqlx::query(include_str!("queries/patient_keys_by_id.sql")).bind(key_ids);
        let found = self.fetch(statement, key_state).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn registered_keys(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RegisteredKey>, EngineError> {
        self.registered(REGISTERED, after, limit).await
    }

    async fn last_registered_keys(&self, limit: u32) -> Result<Vec<RegisteredKey>, EngineError> {
        self.registered(LAST_REGISTERED, 0, limit).await
    }

    /// Binds or checks the master key. Log and keys are in one database, so only the master key can differ.
    async fn bind_keys(
        &self,
        fingerprint: &[u8],
        binding: KeyBinding,
    ) -> Result<Option<KeyMismatch>, EngineError> {
        match binding {
            KeyBinding::Bind => self.insert_meta(MASTER_KEY, fingerprint).await?,
            KeyBinding::Look => {}
        }
        let known = self.meta(MASTER_KEY).await?;
        let is_other = known.is_some_and(|known| known != fingerprint);
        Ok(is_other.then_some(KeyMismatch::OtherMasterKey))
    }

    async fn event_key_fingerprint(&self, candidate: &[u8]) -> Result<Vec<u8>, EngineError> {
        const NAME: &str = "event_key_fingerprint";
        self.insert_meta(NAME, candidate).await?;
        let damaged = Corruption::Column {
            column: "value",
            position: 0,
        };
        Ok(self.meta(NAME).await?.ok_or(damaged)?)
    }

    async fn mark_served_with_tokens(&self) -> Result<(), EngineError> {
        self.insert_meta(SERVED_WITH_TOKENS, &[1]).await
    }

    async fn was_served_with_tokens(&self) -> Result<bool, EngineError> {
        Ok(self.meta(SERVED_WITH_TOKENS).await?.is_some())
    }

    async fn put_secret(&self, secret: &SealedSecret) -> Result<(), EngineError> {
        let statement = sqlx::query(PUT_SECRET)
            .bind(secret.tenant_id.as_uuid())
            .bind(secret.id.as_uuid())
            .bind(secret.sealed.as_slice())
            .bind(clock::now_ms());
        self.execute(statement).await.map(drop)
    }

    async fn secret(&self, tenant: TenantId, id: SecretId) -> Result<Option<Vec<u8>>, EngineError> {
        let statement = sqlx::query(SECRET)
            .bind(tenant.as_uuid())
            .bind(id.as_uuid());
        let found = self.fetch(statement, |row| {
            Ok(PgRowReader::new(row).bytes(0, "sealed")?.to_owned())
        });
        Ok(found.await?.pop())
    }
}

impl Postgres {
    /// Stores a value of the deployment under a name, unless the name has one.
    async fn insert_meta(&self, name: &str, value: &[u8]) -> Result<(), EngineError> {
        let insert = sqlx::query(INSERT_META).bind(name).bind(value);
        self.execute(insert).await.map(drop)
    }

    async fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, EngineError> {
        let found = self.fetch(sqlx::query(META).bind(name), |row| {
            Ok(PgRowReader::new(row).bytes(0, "value")?.to_owned())
        });
        Ok(found.await?.pop())
    }

    async fn registered(
        &self,
        statement: &'static str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RegisteredKey>, EngineError> {
        let statement = sqlx::query(statement)
            .bind(to_bigint(after))
            .bind(i64::from(limit));
        self.fetch(statement, |row| {
            let columns = PgRowReader::new(row);
            Ok(RegisteredKey {
                number: columns.count(0, "number")?,
                key_id: columns.uuid(1, "key_id")?,
            })
        })
        .await
    }
}

fn known_keys(row: &PgRow) -> Result<KnownKeys, EngineError> {
    let columns = PgRowReader::new(row);
    let key = match columns.maybe_uuid(0, "key_id")? {
        Some(key_id) => Some(WrappedKey {
            key_id,
            wrapped: columns.bytes(1, "wrapped")?.to_owned(),
        }),
        None => None,
    };
    Ok(KnownKeys {
        key,
        // The append that stores a key also registers it.
        is_waiting: false,
        erased: row.try_get(2).map_err(|_| Corruption::AppendResult)?,
        registered: row.try_get(3).map_err(|_| Corruption::AppendResult)?,
    })
}

fn key_state(row: &PgRow) -> Result<Option<KeyState>, EngineError> {
    let columns = PgRowReader::new(row);
    let key_id = columns.uuid(0, "key_id")?;
    if columns.maybe_uuid(1, "erased")?.is_some() {
        return Ok(Some(KeyState::Erased(key_id)));
    }
    let Some(tenant) = columns.maybe_uuid(2, "tenant")? else {
        return Ok(None);
    };
    Ok(Some(KeyState::Kept(NewPatientKey {
        tenant_id: tenant.into(),
        patient_id: columns.uuid(3, "patient")?.into(),
        wrapped: WrappedKey {
            key_id,
            wrapped: columns.bytes(4, "wrapped")?.to_owned(),
        },
    })))
}
