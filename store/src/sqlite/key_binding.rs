//! Binds the keys file to its log: both store one id and the master key's fingerprint.
//!
//! A new file has no id. The keys file gets its id first; the log then stores the same id in the transaction that lists
//! the existing keys. A keys file without an id next to a log that has one therefore belongs to another log, or is a
//! copy from before they were bound.

use sqlx::Row as _;
use uuid::Uuid;

use super::error_class::classify;
use super::file::{File, begin, commit};
use super::keys::{self, REGISTER, register_row};
use super::meta;
use super::readers::ReadConnection;
use super::statement::run_all;
use crate::clock;
use crate::engine::KeyBinding;
use crate::error::{EngineError, KeyMismatch};
use crate::keys::sealing_key;
use crate::log::{NewPatientKey, WrappedKey};

const KEYS_ID: &str = "keys_id";
const FINGERPRINT: &str = "master_key_fingerprint";
/// Number of keys listed per page when a log is bound.
const LISTED_AT_ONCE: i64 = 2000;

/// StoredBinding that a file stores.
#[derive(Debug, Default)]
struct StoredBinding {
    keys_id: Option<Vec<u8>>,
    fingerprint: Option<Vec<u8>>,
}

pub(super) async fn bind_or_check(
    log: &File,
    keys: &File,
    fingerprint: &[u8],
    binding: KeyBinding,
) -> Result<Option<KeyMismatch>, EngineError> {
    let in_log = stored_binding(log).await?;
    let in_keys = stored_binding(keys).await?;
    if let Some(mismatch) = key_mismatch(log, keys, (&in_log, &in_keys), fingerprint).await? {
        return Ok(Some(mismatch));
    }
    match binding {
        KeyBinding::Bind if in_log.keys_id.is_none() => {
            bind(log, keys, in_keys, fingerprint).await?
        }
        KeyBinding::Bind | KeyBinding::Look => {}
    }
    Ok(None)
}

async fn key_mismatch(
    log: &File,
    keys: &File,
    (in_log, in_keys): (&StoredBinding, &StoredBinding),
    fingerprint: &[u8],
) -> Result<Option<KeyMismatch>, EngineError> {
    match (&in_log.keys_id, &in_keys.keys_id) {
        (Some(_), None) => return Ok(Some(KeyMismatch::KeysMissing)),
        (Some(known), Some(there)) if known != there => return Ok(Some(KeyMismatch::OtherLog)),
        (Some(_), Some(_)) => {}
        (None, _) => {
            if let Some(mismatch) = unbound(log, keys).await? {
                return Ok(Some(mismatch));
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
async fn unbound(log: &File, keys: &File) -> Result<Option<KeyMismatch>, EngineError> {
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
    let found = keys::keys_by_id(keys, &[key_id]).await?;
    Ok(found.is_empty().then_some(KeyMismatch::KeysMissing))
}

async fn exists(
    reading: &mut ReadConnection<'_>,
    query: &'static str,
) -> Result<bool, EngineError> {
    let found = reading.fetch_one(sqlx::query(query)).await?;
    found.try_get(0).map_err(classify)
}

async fn stored_binding(file: &File) -> Result<StoredBinding, EngineError> {
    Ok(StoredBinding {
        keys_id: meta::get(file, KEYS_ID).await?,
        fingerprint: meta::get(file, FINGERPRINT).await?,
    })
}

/// Binds the log to the keys. Two processes that start concurrently agree on the id that was stored first.
async fn bind(
    log: &File,
    keys: &File,
    in_keys: StoredBinding,
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
    meta::insert(&mut transaction, FINGERPRINT, fingerprint).await?;
    meta::insert(&mut transaction, KEYS_ID, &keys_id).await?;
    commit(transaction).await
}

async fn begin_keys(keys: &File, fingerprint: &[u8]) -> Result<Vec<u8>, EngineError> {
    let mut writing = keys.write().await?;
    let mut transaction = begin(&mut writing).await?;
    meta::insert(&mut transaction, FINGERPRINT, fingerprint).await?;
    let fresh = clock::fresh_id();
    meta::insert(&mut transaction, KEYS_ID, fresh.as_bytes()).await?;
    let keys_id = meta::get_on(&mut transaction, KEYS_ID).await?;
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
