//! Stores what subscriptions and relays keep: checkpoints, policy memory and rejected effects. Checkpoints of relays are
//! in the log's file, because they need its durability.

use super::Sqlite;
use super::error_class::classify;
use super::file::{begin, commit};
use super::read_models::move_checkpoint;
use super::row_reader::SqliteRowReader;
use super::statement::{Insert, SqliteStatement, hex_array, int, run_all};
use crate::engine::SubscriptionStore;
use crate::error::EngineError;
use crate::policy_memory::{MemoryBatch, MemoryEntry, RejectedEffect};
use crate::read_model::Checkpoint;
use crate::relay_checkpoint::RelayCheckpoint;
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

#[async_trait]
impl SubscriptionStore for Sqlite {
    async fn checkpoint(&self, subscription: &str) -> Result<Checkpoint, EngineError> {
        let mut reading = self.read.read().await?;
        let found = reading
            .fetch_optional(
                sqlx::query("SELECT position, hash FROM checkpoints WHERE projection = ?1")
                    .bind(subscription),
            )
            .await?;
        let Some(row) = found else {
            return Ok(Checkpoint::START);
        };
        let fields = SqliteRowReader::new(&row);
        Ok(Checkpoint {
            position: fields.number("position")?,
            hash: fields.digest("hash")?,
        })
    }

    async fn policy_memory(&self, ids: &[Uuid]) -> Result<Vec<MemoryEntry>, EngineError> {
        let mut reading = self.read.read().await?;
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

    async fn due_timers(&self, limit: u32) -> Result<Vec<MemoryEntry>, EngineError> {
        let mut reading = self.read.read().await?;
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
    async fn write_policy_memory(&self, batch: &MemoryBatch<'_>) -> Result<bool, EngineError> {
        let mut writing = self.read.write().await?;
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

    async fn rejected_effects(&self, limit: u32) -> Result<Vec<RejectedEffect>, EngineError> {
        let mut reading = self.read.read().await?;
        let rows = reading
            .fetch_all(
                sqlx::query("SELECT * FROM policy_refusals ORDER BY position DESC LIMIT ?1")
                    .bind(limit),
            )
            .await?;
        rows.iter().map(refused_effect).collect()
    }

    async fn relay_checkpoint(&self, name: &str) -> Result<Option<RelayCheckpoint>, EngineError> {
        let mut reading = self.log.read().await?;
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

    async fn advance_relay(
        &self,
        name: &str,
        from: Option<&RelayCheckpoint>,
        to: &RelayCheckpoint,
    ) -> Result<bool, EngineError> {
        let mut writing = self.log.write().await?;
        let query = match from {
            None => sqlx::query(include_str!("queries/insert_relay_checkpoint.sql")),
            Some(_) => sqlx::query(include_str!("queries/advance_relay_checkpoint.sql")),
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
