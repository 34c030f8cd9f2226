//! Stores relay checkpoints in the log's file, because they need its durability.

use super::error_class::classify;
use super::file::File;
use super::row_reader::SqliteRowReader;
use super::statement::int;
use crate::error::EngineError;
use crate::relay_checkpoint::RelayCheckpoint;

pub(super) async fn find(log: &File, name: &str) -> Result<Option<RelayCheckpoint>, EngineError> {
    let mut reading = log.read().await?;
    let found = reading
        .fetch_optional(sqlx::query("SELECT * FROM relays WHERE name = ?1").bind(name))
        .await?;
    let Some(row) = found else { return Ok(None) };
    let fields = SqliteRowReader::new(&row);
    Ok(Some(RelayCheckpoint {
        position: fields.number("position")?,
        hash: fields.digest("hash")?,
        stream_created_ns: fields.get("stream_created")?,
        first_sequence: fields.number("first_sequence")?,
        last_sequence: fields.number("last_sequence")?,
    }))
}

pub(super) async fn advance(
    log: &File,
    name: &str,
    from: Option<&RelayCheckpoint>,
    to: &RelayCheckpoint,
) -> Result<bool, EngineError> {
    let mut writing = log.write().await?;
    let query = match from {
        None => sqlx::query(include_str!("queries/relays_begin.sql")),
        Some(_) => sqlx::query(include_str!("queries/relays_move.sql")),
    };
    let mut query = query
        .bind(name)
        .bind(int(to.position))
        .bind(to.hash.to_vec())
        .bind(to.stream_created_ns)
        .bind(int(to.first_sequence))
        .bind(int(to.last_sequence));
    if let Some(from) = from {
        query = query
            .bind(int(from.position))
            .bind(from.hash.to_vec())
            .bind(from.stream_created_ns)
            .bind(int(from.last_sequence));
    }
    let moved = query.execute(&mut *writing).await.map_err(classify)?;
    Ok(moved.rows_affected() == 1)
}
