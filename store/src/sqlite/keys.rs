//! Patients' keys, sealed secrets, and the fingerprint of the master key that wraps both.

use roentgen_domain::ids::{PatientId, SecretId, TenantId};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::decode::Fields;
use super::failure::classify;
use super::file::{File, begin, commit};
use super::statement::{Bound, Insert, run_all};
use super::verdict::StandingKeys;
use crate::chain::hex;
use crate::clock;
use crate::error::{Damage, EngineError};
use crate::log::{Batch, NewPatientKey, WrappedKey};
use crate::secrets::SealedSecret;

/// A patient's first key stays.
const PATIENT_KEYS: Insert<'static> = Insert {
    into: "patient_keys",
    columns: "tenant, patient, key_id, wrapped, created_at",
    on_conflict: "ON CONFLICT DO NOTHING",
};

/// Stores the keys of a batch's new patients, and says which keys stand. They are durable before any event sealed under
/// them is; the key of an append that is refused later waits for the patient's next event.
pub(super) async fn offer(keys: &File, batch: &Batch<'_>) -> Result<StandingKeys, EngineError> {
    let offered: Vec<&NewPatientKey> = batch
        .appends
        .iter()
        .flat_map(|it| &it.append.patient_keys)
        .collect();
    if offered.is_empty() {
        return Ok(StandingKeys::new());
    }
    let patients: Vec<_> = offered
        .iter()
        .map(|it| (it.tenant_id, it.patient_id))
        .collect();
    let now_ms = clock::now_ms();
    let mut writing = keys.write().await?;
    let mut transaction = begin(&mut writing).await?;
    let rows = PATIENT_KEYS.of(&offered, |query, it| row(query, it, now_ms));
    run_all(&mut transaction, rows).await?;
    let standing = find_on(&mut transaction, &patients).await?;
    commit(transaction).await.map_err(only_unavailable)?;
    let pairs = patients.into_iter().zip(standing);
    Ok(pairs
        .filter_map(|(patient, key)| Some((patient, key?.key_id)))
        .collect())
}

/// An unknown outcome here leaves no doubt about the log: nothing of the batch is in it.
fn only_unavailable(error: EngineError) -> EngineError {
    match error {
        EngineError::Broken(source) => EngineError::Unavailable(source),
        other @ (EngineError::Unavailable(_)
        | EngineError::Refused(_)
        | EngineError::Archived { .. }
        | EngineError::Damaged(_)
        | EngineError::NotBuilt(_)) => other,
    }
}

fn row(query: Bound, key: &NewPatientKey, now_ms: i64) -> Bound {
    query
        .bind(key.tenant_id.as_uuid())
        .bind(key.patient_id.as_uuid())
        .bind(key.wrapped.key_id)
        .bind(key.wrapped.wrapped.as_slice())
        .bind(now_ms)
}

/// One answer each, in order.
pub(super) async fn find(
    keys: &File,
    patients: &[(TenantId, PatientId)],
) -> Result<Vec<Option<WrappedKey>>, EngineError> {
    let mut reading = keys.read().await?;
    let rows = reading.fetch_all(those_of(patients)).await?;
    in_order(&rows, patients.len())
}

async fn find_on(
    connection: &mut SqliteConnection,
    patients: &[(TenantId, PatientId)],
) -> Result<Vec<Option<WrappedKey>>, EngineError> {
    let rows = those_of(patients).fetch_all(connection).await;
    in_order(&rows.map_err(classify)?, patients.len())
}

fn those_of(patients: &[(TenantId, PatientId)]) -> Bound {
    sqlx::query(include_str!("queries/patient_keys_find.sql")).bind(hex_pairs(patients))
}

fn in_order(rows: &[SqliteRow], patients: usize) -> Result<Vec<Option<WrappedKey>>, EngineError> {
    let mut answers = vec![None; patients];
    for row in rows {
        let place: usize = Fields::of(row).number("place")?;
        let answer = answers.get_mut(place).ok_or(Damage::Answer)?;
        *answer = Some(wrapped_key(row)?);
    }
    Ok(answers)
}

fn wrapped_key(row: &SqliteRow) -> Result<WrappedKey, EngineError> {
    let fields = Fields::of(row);
    Ok(WrappedKey {
        key_id: fields.get::<Uuid>("key_id")?,
        wrapped: fields.get("wrapped")?,
    })
}

fn hex_pairs(patients: &[(TenantId, PatientId)]) -> String {
    let pairs: Vec<String> = patients
        .iter()
        .map(|(tenant, patient)| {
            (
                hex(tenant.as_uuid().as_bytes()),
                hex(patient.as_uuid().as_bytes()),
            )
        })
        .map(|(tenant, patient)| format!("[\"{tenant}\",\"{patient}\"]"))
        .collect();
    format!("[{}]", pairs.join(","))
}

/// The one that stands; `candidate` where none did.
pub(super) async fn fingerprint(keys: &File, candidate: &[u8]) -> Result<Vec<u8>, EngineError> {
    let mut writing = keys.write().await?;
    let mut transaction = begin(&mut writing).await?;
    sqlx::query("INSERT INTO meta VALUES ('master_key_fingerprint', ?1) ON CONFLICT DO NOTHING")
        .bind(candidate)
        .execute(&mut *transaction)
        .await
        .map_err(classify)?;
    let row = sqlx::query("SELECT value FROM meta WHERE name = 'master_key_fingerprint'")
        .fetch_one(&mut *transaction)
        .await
        .map_err(classify)?;
    commit(transaction).await?;
    Fields::of(&row).get("value")
}

pub(super) async fn put_secret(keys: &File, secret: &SealedSecret) -> Result<(), EngineError> {
    let mut writing = keys.write().await?;
    sqlx::query("INSERT INTO secrets (tenant, id, sealed, created_at) VALUES (?1, ?2, ?3, ?4)")
        .bind(secret.tenant_id.as_uuid())
        .bind(secret.id.as_uuid())
        .bind(secret.sealed.as_slice())
        .bind(clock::now_ms())
        .execute(&mut *writing)
        .await
        .map(drop)
        .map_err(classify)
}

pub(super) async fn secret(
    keys: &File,
    tenant: TenantId,
    id: SecretId,
) -> Result<Option<Vec<u8>>, EngineError> {
    let mut reading = keys.read().await?;
    let row = reading
        .fetch_optional(
            sqlx::query("SELECT sealed FROM secrets WHERE tenant = ?1 AND id = ?2")
                .bind(tenant.as_uuid())
                .bind(id.as_uuid()),
        )
        .await?;
    row.map(|it| Fields::of(&it).get("sealed")).transpose()
}
