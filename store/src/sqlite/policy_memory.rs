//! Stores the policy memory of subscriptions, with their checkpoints.

use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::error_class::classify;
use super::file::{File, begin, commit};
use super::read_models::move_checkpoint;
use super::row_reader::SqliteRowReader;
use super::statement::{Insert, SqliteStatement, hex_array, int, run_all};
use crate::error::EngineError;
use crate::policy_memory::{MemoryBatch, MemoryEntry, RejectedEffect};

pub(super) async fn find(read: &File, ids: &[Uuid]) -> Result<Vec<MemoryEntry>, EngineError> {
    let mut reading = read.read().await?;
    let found = reading
        .fetch_all(
            sqlx::query(
                "SELECT * FROM policy_memory WHERE id IN (SELECT unhex(value) FROM json_each(?1))",
            )
            .bind(hex_array(ids)),
        )
        .await?;
    found.iter().map(memory).collect()
}

pub(super) async fn earliest_due(read: &File, limit: u32) -> Result<Vec<MemoryEntry>, EngineError> {
    let mut reading = read.read().await?;
    let due = reading
        .fetch_all(
            sqlx::query(
                "SELECT * FROM policy_memory WHERE due_at IS NOT NULL ORDER BY due_at LIMIT ?1",
            )
            .bind(limit),
        )
        .await?;
    due.iter().map(memory).collect()
}

/// Writes a batch of policy memory. The checkpoint advances first, so that a superseded writer has written nothing.
pub(super) async fn remember(read: &File, batch: &MemoryBatch<'_>) -> Result<bool, EngineError> {
    let mut writing = read.write().await?;
    let mut transaction = begin(&mut writing).await?;
    let name = batch.subscription;
    let from = batch.from;
    let to = batch.to;
    if !move_checkpoint(&mut transaction, name, from, to).await? {
        return Ok(false);
    }
    if !batch.forgotten.is_empty() {
        sqlx::query(
            "DELETE FROM policy_memory WHERE id IN (SELECT unhex(value) FROM json_each(?1))",
        )
        .bind(hex_array(&batch.forgotten))
        .execute(&mut *transaction)
        .await
        .map_err(classify)?;
    }
    let mut statements = KEPT.statements(&batch.kept, kept_row);
    statements.extend(REFUSED.statements(&batch.refusals, refused_row));
    run_all(&mut transaction, statements).await?;
    commit(transaction).await?;
    Ok(true)
}

pub(super) async fn refused(read: &File, limit: u32) -> Result<Vec<RejectedEffect>, EngineError> {
    let mut reading = read.read().await?;
    let rows = reading
        .fetch_all(
            sqlx::query("SELECT * FROM policy_refusals ORDER BY position DESC LIMIT ?1")
                .bind(limit),
        )
        .await?;
    rows.iter().map(refused_effect).collect()
}

const KEPT: Insert<'static> = Insert {
    into: "policy_memory",
    columns: "id, topic, tenant, key, value, due_at",
    on_conflict: "ON CONFLICT (id) DO UPDATE SET value = excluded.value, due_at = excluded.due_at",
};

fn kept_row(query: SqliteStatement, memory: &MemoryEntry) -> SqliteStatement {
    query
        .bind(memory.id)
        .bind(memory.topic.as_str())
        .bind(memory.tenant_id.as_uuid())
        .bind(memory.key.as_str())
        .bind(memory.value.as_str())
        .bind(memory.due_at_ms)
}

const REFUSED: Insert<'static> = Insert {
    into: "policy_refusals",
    columns: "position, effect, tenant, reason",
    on_conflict: "ON CONFLICT DO NOTHING",
};

fn refused_row(query: SqliteStatement, refused: &RejectedEffect) -> SqliteStatement {
    query
        .bind(int(refused.position))
        .bind(refused.effect.as_str())
        .bind(refused.tenant_id.as_uuid())
        .bind(refused.reason.as_str())
}

fn memory(row: &SqliteRow) -> Result<MemoryEntry, EngineError> {
    let fields = SqliteRowReader::new(row);
    Ok(MemoryEntry {
        id: fields.get("id")?,
        topic: fields.get("topic")?,
        tenant_id: fields.get::<Uuid>("tenant")?.into(),
        key: fields.get("key")?,
        value: fields.get("value")?,
        due_at_ms: fields.get("due_at")?,
    })
}

fn refused_effect(row: &SqliteRow) -> Result<RejectedEffect, EngineError> {
    let fields = SqliteRowReader::new(row);
    Ok(RejectedEffect {
        position: fields.number("position")?,
        tenant_id: fields.get::<Uuid>("tenant")?.into(),
        effect: fields.get("effect")?,
        reason: fields.get("reason")?,
    })
}
