//! Stores patient keys, their tombstones, the log's register of keys, and sealed secrets.

use async_trait::async_trait;
use roentgen_domain::ids::{PatientId, SecretId, TenantId};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::Sqlite;
use super::append_decision::{ExistingKey, ExistingKeys};
use super::error_class::classify;
use super::file::{File, begin, commit};
use super::key_binding;
use super::meta;
use super::row_reader::SqliteRowReader;
use super::statement::{Insert, SqliteStatement, hex_array, int, run_all};
use crate::chain::hex;
use crate::clock;
use crate::engine::{KeyBinding, KeyStore, SERVED_WITH_TOKENS, SealedSecret};
use crate::error::{Corruption, EngineError, KeyMismatch};
use crate::log::{AppendBatch, KeyState, KnownKeys, NewPatientKey, RegisteredKey, WrappedKey};

/// Insert of patient keys; a patient's first key stays.
const PATIENT_KEYS: Insert<'static> = Insert {
    into: "patient_keys",
    columns: "tenant, patient, key_id, wrapped, created_at, master_id",
    on_conflict: "ON CONFLICT DO NOTHING",
};

/// Insert into the log's register of keys.
pub(super) const REGISTER: Insert<'static> = Insert {
    into: "key_register",
    columns: "tenant, patient, key_id",
    on_conflict: "ON CONFLICT DO NOTHING",
};

#[async_trait]
impl KeyStore for Sqlite {
    /// Returns one entry per patient, in order: the keys in the keys file and the keys that the log lists.
    async fn patient_keys(
        &self,
        patients: &[(TenantId, PatientId)],
    ) -> Result<Vec<KnownKeys>, EngineError> {
        let kept = async {
            let rows = self
                .keys
                .read()
                .await?
                .fetch_all(those_of(patients))
                .await?;
            in_order(&rows, patients.len())
        };
        let (kept, registered) = tokio::try_join!(kept, registered_of(&self.log, patients))?;
        let known = kept.into_iter().zip(registered);
        Ok(known
            .map(|(kept, registered)| {
                let key_id = kept.key.as_ref().map(|key| key.key_id);
                KnownKeys {
                    is_waiting: key_id.is_some_and(|key_id| !registered.contains(&key_id)),
                    registered,
                    ..kept
                }
            })
            .collect())
    }

    async fn keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyState>, EngineError> {
        keys_by_id(&self.keys, key_ids).await
    }

    async fn registered_keys(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RegisteredKey>, EngineError> {
        entries(&self.log, REGISTERED, after, limit).await
    }

    /// Returns the last registered keys, the latest first.
    async fn last_registered_keys(&self, limit: u32) -> Result<Vec<RegisteredKey>, EngineError> {
        entries(&self.log, LAST_REGISTERED, 0, limit).await
    }

    async fn bind_keys(
        &self,
        fingerprint: &[u8],
        binding: KeyBinding,
    ) -> Result<Option<KeyMismatch>, EngineError> {
        let mismatch =
            key_binding::bind_or_check(&self.log, &self.keys, fingerprint, binding).await?;
        if mismatch.is_none() {
            self.master_id.get_or_init(|| fingerprint.to_vec());
        }
        Ok(mismatch)
    }

    async fn event_key_fingerprint(&self, candidate: &[u8]) -> Result<Vec<u8>, EngineError> {
        meta::get_or_insert(&self.keys, "event_key_fingerprint", candidate).await
    }

    async fn mark_served_with_tokens(&self) -> Result<(), EngineError> {
        let marked = meta::get_or_insert(&self.log, SERVED_WITH_TOKENS, &[1]).await;
        marked.map(drop)
    }

    async fn was_served_with_tokens(&self) -> Result<bool, EngineError> {
        Ok(meta::get(&self.log, SERVED_WITH_TOKENS).await?.is_some())
    }

    async fn put_secret(&self, secret: &SealedSecret) -> Result<(), EngineError> {
        let mut writing = self.keys.write().await?;
        sqlx::query(PUT_SECRET)
            .bind(secret.tenant_id.as_uuid())
            .bind(secret.id.as_uuid())
            .bind(secret.sealed.as_slice())
            .bind(clock::now_ms())
            .bind(self.master_id())
            .execute(&mut *writing)
            .await
            .map(drop)
            .map_err(classify)
    }

    async fn secret(&self, tenant: TenantId, id: SecretId) -> Result<Option<Vec<u8>>, EngineError> {
        let mut reading = self.keys.read().await?;
        let row = reading
            .fetch_optional(
                sqlx::query("SELECT sealed FROM secrets WHERE tenant = ?1 AND id = ?2")
                    .bind(tenant.as_uuid())
                    .bind(id.as_uuid()),
            )
            .await?;
        row.map(|row| SqliteRowReader::new(&row).get("sealed"))
            .transpose()
    }
}

/// Returns the states of keys of a file that may not be bound to a log yet.
pub(super) async fn keys_by_id(
    keys: &File,
    key_ids: &[Uuid],
) -> Result<Vec<KeyState>, EngineError> {
    let query = sqlx::query(include_str!("queries/patient_keys_by_id.sql"));
    let query = query.bind(hex_array(key_ids));
    let rows = keys.read().await?.fetch_all(query).await?;
    rows.iter().map(key_state).collect()
}

pub(super) fn register_row(query: SqliteStatement, key: &NewPatientKey) -> SqliteStatement {
    query
        .bind(key.tenant_id.as_uuid())
        .bind(key.patient_id.as_uuid())
        .bind(key.wrapped.key_id)
}

/// Stores the keys of a batch's new patients, and returns the keys in the file. Keys are durable before any event
/// sealed with them. If the append is rejected later, its key is used for the patient's next event.
pub(super) async fn offer(
    keys: &File,
    batch: &AppendBatch<'_>,
    master_id: Option<&[u8]>,
) -> Result<ExistingKeys, EngineError> {
    let offered: Vec<&NewPatientKey> = batch
        .appends
        .iter()
        .flat_map(|append| &append.append.patient_keys)
        .collect();
    if offered.is_empty() {
        return Ok(ExistingKeys::new());
    }
    let patients: Vec<_> = offered.iter().map(|key| key.patient()).collect();
    let now_ms = clock::now_ms();
    let mut writing = keys.write().await?;
    let mut transaction = begin(&mut writing).await?;
    let rows = PATIENT_KEYS.statements(&offered, |query, key| row(query, key, now_ms, master_id));
    run_all(&mut transaction, rows).await?;
    let existing = find_on(&mut transaction, &patients).await?;
    commit(transaction).await.map_err(only_unavailable)?;
    let existing = existing.into_iter().map(|known| ExistingKey {
        key_id: known.key.map(|key| key.key_id),
        erased: known.erased,
    });
    Ok(patients.into_iter().zip(existing).collect())
}

/// Turns an unknown outcome into unavailable: nothing of the batch is in the log yet.
fn only_unavailable(error: EngineError) -> EngineError {
    match error {
        EngineError::ConnectionLost(source) => EngineError::Unavailable(source),
        other @ (EngineError::Unavailable(_)
        | EngineError::Rejected(_)
        | EngineError::Archived { .. }
        | EngineError::Corrupt(_)
        | EngineError::ReadModelNotReady(_)
        | EngineError::KeyMissing) => other,
    }
}

fn row(
    query: SqliteStatement,
    key: &NewPatientKey,
    now_ms: i64,
    master_id: Option<&[u8]>,
) -> SqliteStatement {
    query
        .bind(key.tenant_id.as_uuid())
        .bind(key.patient_id.as_uuid())
        .bind(key.wrapped.key_id)
        .bind(key.wrapped.wrapped.as_slice())
        .bind(now_ms)
        .bind(master_id.map(<[u8]>::to_vec))
}

async fn find_on(
    connection: &mut SqliteConnection,
    patients: &[(TenantId, PatientId)],
) -> Result<Vec<KnownKeys>, EngineError> {
    let rows = those_of(patients).fetch_all(connection).await;
    in_order(&rows.map_err(classify)?, patients.len())
}

fn those_of(patients: &[(TenantId, PatientId)]) -> SqliteStatement {
    sqlx::query(include_str!("queries/patient_keys_select.sql"))
        .bind(hex_pairs(patients.iter().copied()))
}

fn in_order(rows: &[SqliteRow], patients: usize) -> Result<Vec<KnownKeys>, EngineError> {
    let mut answers = vec![KnownKeys::default(); patients];
    for row in rows {
        let fields = SqliteRowReader::new(row);
        let answer = answers.get_mut(fields.number::<usize>("place")?);
        let answer = answer.ok_or(Corruption::AppendResult)?;
        match fields.get::<Option<Vec<u8>>>("wrapped")? {
            Some(_) => answer.key = Some(wrapped_key(row)?),
            None => answer.erased.push(fields.get("key_id")?),
        }
    }
    Ok(answers)
}

async fn registered_of(
    log: &File,
    patients: &[(TenantId, PatientId)],
) -> Result<Vec<Vec<Uuid>>, EngineError> {
    let those = sqlx::query(include_str!("queries/key_register_find.sql"))
        .bind(hex_pairs(patients.iter().copied()));
    let rows = log.read().await?.fetch_all(those).await?;
    let mut answers = vec![Vec::new(); patients.len()];
    for row in &rows {
        let fields = SqliteRowReader::new(row);
        let answer = answers.get_mut(fields.number::<usize>("place")?);
        answer
            .ok_or(Corruption::AppendResult)?
            .push(fields.get("key_id")?);
    }
    Ok(answers)
}

fn key_state(row: &SqliteRow) -> Result<KeyState, EngineError> {
    let fields = SqliteRowReader::new(row);
    Ok(match fields.get::<Option<Vec<u8>>>("wrapped")? {
        Some(_) => KeyState::Kept(NewPatientKey {
            tenant_id: fields.get::<Uuid>("tenant")?.into(),
            patient_id: fields.get::<Uuid>("patient")?.into(),
            wrapped: wrapped_key(row)?,
        }),
        None => KeyState::Erased(fields.get("key_id")?),
    })
}

const REGISTERED: &str =
    "SELECT number, key_id FROM key_register WHERE number > ?1 ORDER BY number LIMIT ?2";
const LAST_REGISTERED: &str =
    "SELECT number, key_id FROM key_register WHERE number > ?1 ORDER BY number DESC LIMIT ?2";

async fn entries(
    log: &File,
    statement: &'static str,
    after: u64,
    limit: u32,
) -> Result<Vec<RegisteredKey>, EngineError> {
    let mut reading = log.read().await?;
    let those = sqlx::query(statement).bind(int(after)).bind(limit);
    let rows = reading.fetch_all(those).await?;
    let entry = |row: &SqliteRow| {
        let fields = SqliteRowReader::new(row);
        Ok(RegisteredKey {
            number: fields.number("number")?,
            key_id: fields.get("key_id")?,
        })
    };
    rows.iter().map(entry).collect()
}

fn wrapped_key(row: &SqliteRow) -> Result<WrappedKey, EngineError> {
    let fields = SqliteRowReader::new(row);
    Ok(WrappedKey {
        key_id: fields.get::<Uuid>("key_id")?,
        wrapped: fields.get("wrapped")?,
    })
}

/// Returns a JSON array of `[tenant, patient]`.
pub(super) fn hex_pairs(patients: impl IntoIterator<Item = (TenantId, PatientId)>) -> String {
    let pairs: Vec<String> = patients
        .into_iter()
        .map(|(tenant, patient)| {
            let tenant = hex(tenant.as_uuid().as_bytes());
            let patient = hex(patient.as_uuid().as_bytes());
            format!("[\"{tenant}\",\"{patient}\"]")
        })
        .collect();
    format!("[{}]", pairs.join(","))
}

const PUT_SECRET: &str = "INSERT INTO secrets (tenant, id, sealed, created_at, master_id) \
                          VALUES (?1, ?2, ?3, ?4, ?5)";
