//! Binds the keys file to its log: both store one id and the master key's fingerprint.
//!
//! A new file has no id. The keys file gets its id first; the log then stores the same id in the transaction that lists
//! the existing keys. A keys file without an id next to a log that has one therefore belongs to another log, or is a
//! copy from before they were bound.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::error_class::classify;
use super::file::{File, begin, commit};
use super::keys::{REGISTER, by_id, register_row};
use super::readers::ReadConnection;
use super::statement::{SqliteStatement, run_all};
use crate::clock;
use crate::error::EngineError;
use crate::keys::{KeyBinding, KeyMismatch, sealing_key};
use crate::log::{NewPatientKey, WrappedKey};

const KEYS_ID: &str = "keys_id";
const FINGERPRINT: &str = "master_key_fingerprint";
/// Number of keys listed per page when a log is bound.
const LISTED_AT_ONCE: i64 = 2000;

/// Binding that a file stores.
#[derive(Debug, Default)]
struct Meta {
    keys_id: Option<Vec<u8>>,
    fingerprint: Option<Vec<u8>>,
}

pub(super) async fn tie(
    log: &File,
    keys: &File,
    fingerprint: &[u8],
    tying: KeyBinding,
) -> Result<Option<KeyMismatch>, EngineError> {
    let in_log = meta(log).await?;
    let in_keys = meta(keys).await?;
    if let Some(misfit) = misfit(log, keys, (&in_log, &in_keys), fingerprint).await? {
        return Ok(Some(misfit));
    }
    match tying {
        KeyBinding::Bind if in_log.keys_id.is_none() => {
            bind(log, keys, in_keys, fingerprint).await?
        }
        KeyBinding::Bind | KeyBinding::Look => {}
    }
    Ok(None)
}

async fn misfit(
    log: &File,
    keys: &File,
    (in_log, in_keys): (&Meta, &Meta),
    fingerprint: &[u8],
) -> Result<Option<KeyMismatch>, EngineError> {
    match (&in_log.keys_id, &in_keys.keys_id) {
        (Some(_), None) => return Ok(Some(KeyMismatch::KeysMissing)),
        (Some(known), Some(there)) if known != there => return Ok(Some(KeyMismatch::OtherLog)),
        (Some(_), Some(_)) => {}
        (None, _) => {
            if let Some(misfit) = untied(log, keys).await? {
                return Ok(Some(misfit));
            }
        }
    }
    let mut known = [&in_log.fingerprint, &in_keys.fingerprint]
        .into_iter()
        .flatten();
    let is_other = known.any(|known| known != fingerprint);
    Ok(is_other.then_some(KeyMismatch::OtherMasterKey))
}

/// Checks a log that is not bound to keys yet: a new log, or one of a release without the binding.
async fn untied(log: &File, keys: &File) -> Result<Option<KeyMismatch>, EngineError> {
    let mut reading = log.read_at_length().await?;
    let has_events = exists(&mut reading, "SELECT EXISTS (SELECT 1 FROM events)").await?;
    let sealed =
        "SELECT sealed FROM events WHERE length(sealed) > 0 ORDER BY position DESC LIMIT 1";
    let sealed = reading.fetch_optional(sqlx::query(sealed)).await?;
    drop(reading);
    if !has_events {
        let any_key =
            "SELECT EXISTS (SELECT 1 FROM patient_keys) OR EXISTS (SELECT 1 FROM key_tombstones)";
        let has_keys = exists(&mut keys.read().await?, any_key).await?;
        return Ok(has_keys.then_some(KeyMismatch::LogMissing));
    }
    let Some(sealed) = sealed else {
        return Ok(None);
    };
    let sealed: Vec<u8> = sealed.try_get("sealed").map_err(classify)?;
    let Some(key_id) = sealing_key(&sealed) else {
        return Ok(None);
    };
    let found = by_id(keys, &[key_id]).await?;
    Ok(found.is_empty().then_some(KeyMismatch::KeysMissing))
}

async fn exists(
    reading: &mut ReadConnection<'_>,
    query: &'static str,
) -> Result<bool, EngineError> {
    let found = reading.fetch_one(sqlx::query(query)).await?;
    found.try_get(0).map_err(classify)
}

async fn meta(file: &File) -> Result<Meta, EngineError> {
    let mut reading = file.read().await?;
    let keys_id = reading.fetch_optional(asking_for(KEYS_ID)).await?;
    let fingerprint = reading.fetch_optional(asking_for(FINGERPRINT)).await?;
    Ok(Meta {
        keys_id: keys_id.as_ref().map(value).transpose()?,
        fingerprint: fingerprint.as_ref().map(value).transpose()?,
    })
}

/// Checks whether the file's `meta` table has the name.
pub(super) async fn is_in_meta(file: &File, name: &'static str) -> Result<bool, EngineError> {
    let mut reading = file.read().await?;
    Ok(reading.fetch_optional(asking_for(name)).await?.is_some())
}

fn asking_for(name: &'static str) -> SqliteStatement {
    sqlx::query("SELECT value FROM meta WHERE name = ?1").bind(name)
}

fn value(row: &SqliteRow) -> Result<Vec<u8>, EngineError> {
    row.try_get("value").map_err(classify)
}

async fn set(
    connection: &mut SqliteConnection,
    name: &'static str,
    value: &[u8],
) -> Result<(), EngineError> {
    sqlx::query("INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
        .bind(name)
        .bind(value.to_vec())
        .execute(connection)
        .await
        .map(drop)
        .map_err(classify)
}

/// Binds the log to the keys. Two processes that start concurrently agree on the id that was stored first.
async fn bind(
    log: &File,
    keys: &File,
    in_keys: Meta,
    fingerprint: &[u8],
) -> Result<(), EngineError> {
    let keys_id = match in_keys.keys_id {
        Some(keys_id) => keys_id,
        None => begin_keys(keys, fingerprint).await?,
    };
    let mut listed = Vec::new();
    let mut writing = log.write().await?;
    let mut transaction = begin(&mut writing).await?;
    loop {
        listed = page_of_keys(keys, listed.last()).await?;
        if listed.is_empty() {
            break;
        }
        let rows = REGISTER.statements(&listed, register_row);
        run_all(&mut transaction, rows).await?;
    }
    set(&mut transaction, FINGERPRINT, fingerprint).await?;
    set(&mut transaction, KEYS_ID, &keys_id).await?;
    commit(transaction).await
}

async fn begin_keys(keys: &File, fingerprint: &[u8]) -> Result<Vec<u8>, EngineError> {
    let mut writing = keys.write().await?;
    let mut transaction = begin(&mut writing).await?;
    set(&mut transaction, FINGERPRINT, fingerprint).await?;
    let fresh = clock::fresh_id();
    set(&mut transaction, KEYS_ID, fresh.as_bytes()).await?;
    let keys_id = asking_for(KEYS_ID).fetch_one(&mut *transaction).await;
    let keys_id = value(&keys_id.map_err(classify)?)?;
    commit(transaction).await?;
    Ok(keys_id)
}

const PAGE_OF_KEYS: &str = "SELECT tenant, patient, key_id FROM patient_keys \
    WHERE (tenant, patient) > (?1, ?2) ORDER BY tenant, patient LIMIT ?3";

/// Returns the page of keys after `after`, in the table's order.
async fn page_of_keys(
    keys: &File,
    after: Option<&NewPatientKey>,
) -> Result<Vec<NewPatientKey>, EngineError> {
    let after = after.map(|key| (key.tenant_id.as_uuid(), key.patient_id.as_uuid()));
    let (tenant, patient) = after.unwrap_or((Uuid::nil(), Uuid::nil()));
    let mut reading = keys.read().await?;
    let page = sqlx::query(PAGE_OF_KEYS)
        .bind(tenant)
        .bind(patient)
        .bind(LISTED_AT_ONCE);
    let rows = reading.fetch_all(page).await?;
    let listed = rows.iter().map(|row| {
        Ok(NewPatientKey {
            tenant_id: row.try_get::<Uuid, _>("tenant")?.into(),
            patient_id: row.try_get::<Uuid, _>("patient")?.into(),
            wrapped: WrappedKey {
                key_id: row.try_get("key_id")?,
                wrapped: Vec::new(),
            },
        })
    });
    listed.collect::<Result<_, sqlx::Error>>().map_err(classify)
}
