//! Stores patient keys, their tombstones, and the log's register of keys.

use roentgen_domain::ids::{PatientId, TenantId};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::error::{Corruption, EngineError};
use crate::keys::{KeyBinding, KeyMismatch};
use crate::log::{KeyState, KnownKeys, NewPatientKey, RegisteredKey, WrappedKey};

use super::Postgres;
use super::row_reader::{PgRowReader, to_bigint};

const BIND_MASTER_KEY: &str = "INSERT INTO meta (name, value) \
    VALUES ('master_key_fingerprint', $1) ON CONFLICT (name) DO NOTHING";
const MASTER_KEY: &str = "SELECT value FROM meta WHERE name = 'master_key_fingerprint'";
const REGISTERED: &str =
    "SELECT number, key_id FROM key_register WHERE number > $1 ORDER BY number LIMIT $2";
const LAST_REGISTERED: &str =
    "SELECT number, key_id FROM key_register WHERE number > $1 ORDER BY number DESC LIMIT $2";

impl Postgres {
    pub(super) async fn keys_of(
        &self,
        patients: &[(TenantId, PatientId)],
    ) -> Result<Vec<KnownKeys>, EngineError> {
        let tenants: Vec<Uuid> = patients.iter().map(|patient| patient.0.as_uuid()).collect();
        let ids: Vec<Uuid> = patients.iter().map(|patient| patient.1.as_uuid()).collect();
        let statement = sqlx::query(include_str!("queries/patient_keys_select.sql"))
            .bind(tenants)
            .bind(ids);
        self.fetch(statement, known).await
    }

    pub(super) async fn standing_of(&self, ids: &[Uuid]) -> Result<Vec<KeyState>, EngineError> {
        let statement = sqlx::query(include_str!("queries/patient_keys_by_id.sql")).bind(ids);
        let found = self.fetch(statement, standing).await?;
        Ok(found.into_iter().flatten().collect())
    }

    pub(super) async fn registered_after(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RegisteredKey>, EngineError> {
        self.registered(REGISTERED, after, limit).await
    }

    pub(super) async fn registered_last(
        &self,
        limit: u32,
    ) -> Result<Vec<RegisteredKey>, EngineError> {
        self.registered(LAST_REGISTERED, 0, limit).await
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

    /// Binds or checks the master key. Log and keys are in one database, so only the master key can differ.
    pub(super) async fn tie(
        &self,
        fingerprint: &[u8],
        tying: KeyBinding,
    ) -> Result<Option<KeyMismatch>, EngineError> {
        match tying {
            KeyBinding::Bind => {
                let bind = sqlx::query(BIND_MASTER_KEY).bind(fingerprint);
                self.execute(bind).await?;
            }
            KeyBinding::Look => {}
        }
        let known = self.fetch(sqlx::query(MASTER_KEY), |row| {
            Ok(PgRowReader::new(row).bytes(0, "value")?.to_owned())
        });
        let known = known.await?.pop();
        let is_other = known.is_some_and(|known| known != fingerprint);
        Ok(is_other.then_some(KeyMismatch::OtherMasterKey))
    }
}

fn known(row: &PgRow) -> Result<KnownKeys, EngineError> {
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

fn standing(row: &PgRow) -> Result<Option<KeyState>, EngineError> {
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
