//! Values that describe the deployment, in the table `meta` of a file. A value that is stored stays.

use sqlx::{Row as _, SqliteConnection};

use super::error_class::classify;
use super::file::{File, begin, commit};
use super::statement::SqliteStatement;
use crate::error::EngineError;

fn select(name: &'static str) -> SqliteStatement {
    sqlx::query("SELECT value FROM meta WHERE name = ?1").bind(name)
}

pub(super) async fn get(file: &File, name: &'static str) -> Result<Option<Vec<u8>>, EngineError> {
    let row = file.read().await?.fetch_optional(select(name)).await?;
    let value = row.map(|row| row.try_get("value"));
    value.transpose().map_err(classify)
}

/// Returns the value of a name that has one.
pub(super) async fn get_on(
    connection: &mut SqliteConnection,
    name: &'static str,
) -> Result<Vec<u8>, EngineError> {
    let row = select(name).fetch_one(connection).await;
    row.and_then(|row| row.try_get("value")).map_err(classify)
}

/// Stores a value, unless the name has one.
pub(super) async fn insert(
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

/// Returns the value of a name, after storing `candidate` if the name had none.
pub(super) async fn get_or_insert(
    file: &File,
    name: &'static str,
    candidate: &[u8],
) -> Result<Vec<u8>, EngineError> {
    let mut writing = file.write().await?;
    let mut transaction = begin(&mut writing).await?;
    insert(&mut transaction, name, candidate).await?;
    let value = get_on(&mut transaction, name).await?;
    commit(transaction).await?;
    Ok(value)
}
