//! Stores what subscriptions and relays keep: checkpoints, policy memory and rejected effects.

use super::row_reader::{PgRowReader, to_bigint};
use super::write_projection::bind_checkpoint;
use super::{Postgres, Statement, error_class};
use crate::engine::SubscriptionStore;
use crate::error::EngineError;
use crate::policy_memory::{MemoryBatch, MemoryEntry, RejectedEffect};
use crate::read_model::Checkpoint;
use crate::relay_checkpoint::RelayCheckpoint;
use async_trait::async_trait;
use roentgen_domain::ids::TenantId;
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

const CHECKPOINT: &str = "SELECT position, hash FROM read.checkpoints WHERE projection = $1";

const FIND: &str =
    "SELECT id, topic, tenant, key, value, due_at FROM read.policy_memory WHERE id = ANY($1)";

const DUE: &str = "SELECT id, topic, tenant, key, value, due_at FROM read.policy_memory \
    WHERE due_at IS NOT NULL ORDER BY due_at LIMIT $1";

const KEEP: &str = "INSERT INTO read.policy_memory (id, topic, tenant, key, value, due_at) \
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::bigint[]) \
    ON CONFLICT (id) DO UPDATE SET value = excluded.value, due_at = excluded.due_at";

const REFUSE: &str = "INSERT INTO read.policy_refusals (position, effect, tenant, reason) \
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::text[]) ON CONFLICT DO NOTHING";

const REFUSED: &str = "SELECT position, tenant, effect, reason FROM read.policy_refusals \
    ORDER BY position DESC LIMIT $1";

const RELAY: &str = "SELECT position, hash, stream_created, first_sequence, last_sequence \
    FROM relays WHERE name = $1";

const BEGIN_RELAY: &str = "INSERT INTO relays (name, position, hash, stream_created, first_sequence, last_sequence) \
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING";

const MOVE_RELAY: &str = "UPDATE relays \
    SET position = $2, hash = $3, stream_created = $4, first_sequence = $5, last_sequence = $6 \
    WHERE name = $1 AND position = $7 AND hash = $8 AND stream_created = $9 AND last_sequence = $10";

#[async_trait]
impl SubscriptionStore for Postgres {
    async fn checkpoint(&self, subscription: &str) -> Result<Checkpoint, EngineError> {
        let found = self.fetch(sqlx::query(CHECKPOINT).bind(subscription), |row| {
            let columns = PgRowReader::new(row);
            Ok(Checkpoint {
                position: columns.count(0, "position")?,
                hash: columns.digest(1, "hash")?,
            })
        });
        Ok(found.await?.pop().unwrap_or(Checkpoint::START))
    }

    async fn policy_memory(&self, ids: &[Uuid]) -> Result<Vec<MemoryEntry>, EngineError> {
        self.fetch(sqlx::query(FIND).bind(ids), memory).await
    }

    async fn due_timers(&self, limit: u32) -> Result<Vec<MemoryEntry>, EngineError> {
        self.fetch(sqlx::query(DUE).bind(i64::from(limit)), memory)
            .await
    }

    async fn write_policy_memory(&self, batch: &MemoryBatch<'_>) -> Result<bool, EngineError> {
        self.with_projector(async |connection| write(connection, batch).await)
            .await
    }

    async fn rejected_effects(&self, limit: u32) -> Result<Vec<RejectedEffect>, EngineError> {
        self.fetch(sqlx::query(REFUSED).bind(i64::from(limit)), |row| {
            let columns = PgRowReader::new(row);
            Ok(RejectedEffect {
                position: columns.count(0, "position")?,
                tenant_id: TenantId::from(columns.uuid(1, "tenant")?),
                effect: columns.text(2, "effect")?.to_owned(),
                reason: columns.text(3, "reason")?.to_owned(),
            })
        })
        .await
    }

    async fn relay_checkpoint(&self, name: &str) -> Result<Option<RelayCheckpoint>, EngineError> {
        let found = self.fetch(sqlx::query(RELAY).bind(name), |row| {
            let columns = PgRowReader::new(row);
            Ok(RelayCheckpoint {
                position: columns.count(0, "position")?,
                hash: columns.digest(1, "hash")?,
                stream_created_ns: columns.bigint(2, "stream_created")?,
                first_sequence: columns.count(3, "first_sequence")?,
                last_sequence: columns.count(4, "last_sequence")?,
            })
        });
        Ok(found.await?.pop())
    }

    async fn advance_relay(
        &self,
        name: &str,
        from: Option<&RelayCheckpoint>,
        to: &RelayCheckpoint,
    ) -> Result<bool, EngineError> {
        let mut statement = sqlx::query(from.map_or(BEGIN_RELAY, |_| MOVE_RELAY))
            .bind(name)
            .bind(to_bigint(to.position))
            .bind(to.hash.as_slice())
            .bind(to.stream_created_ns)
            .bind(to_bigint(to.first_sequence))
            .bind(to_bigint(to.last_sequence));
        if let Some(from) = from {
            statement = statement
                .bind(to_bigint(from.position))
                .bind(from.hash.as_slice())
                .bind(from.stream_created_ns)
                .bind(to_bigint(from.last_sequence));
        }
        Ok(self.execute(statement).await? == 1)
    }
}

/// Writes a batch of policy memory. The checkpoint advances first: of two nodes that react to the same events, the
/// second waits there and finds the checkpoint advanced.
async fn write(
    connection: &mut PgConnection,
    batch: &MemoryBatch<'_>,
) -> Result<bool, EngineError> {
    let mut transaction = connection
        .begin()
        .await
        .map_err(error_class::classify_read)?;
    let moved = sqlx::query(include_str!("queries/advance_checkpoint.sql"));
    let moved = bind_checkpoint(moved, (batch.subscription, &batch.from, &batch.to))
        .execute(&mut *transaction)
        .await;
    if moved.map_err(error_class::classify_read)?.rows_affected() == 0 {
        transaction
            .rollback()
            .await
            .map_err(error_class::classify_read)?;
        return Ok(false);
    }
    for statement in statements(batch) {
        statement
            .execute(&mut *transaction)
            .await
            .map_err(error_class::classify_read)?;
    }
    transaction
        .commit()
        .await
        .map_err(error_class::classify_write)?;
    Ok(true)
}

fn statements<'q>(batch: &'q MemoryBatch<'_>) -> Vec<Statement<'q>> {
    let mut statements = Vec::new();
    if !batch.forgotten.is_empty() {
        let forget = sqlx::query("DELETE FROM read.policy_memory WHERE id = ANY($1)");
        statements.push(forget.bind(batch.forgotten.as_slice()));
    }
    if !batch.kept.is_empty() {
        statements.push(keep(&batch.kept));
    }
    if !batch.refusals.is_empty() {
        statements.push(refuse(&batch.refusals));
    }
    statements
}

fn keep(kept: &[MemoryEntry]) -> Statement<'_> {
    let tenants = kept.iter().map(|entry| entry.tenant_id.as_uuid());
    sqlx::query(KEEP)
        .bind(kept.iter().map(|entry| entry.id).collect::<Vec<_>>())
        .bind(
            kept.iter()
                .map(|entry| entry.topic.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(tenants.collect::<Vec<_>>())
        .bind(
            kept.iter()
                .map(|entry| entry.key.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            kept.iter()
                .map(|entry| entry.value.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(kept.iter().map(|entry| entry.due_at_ms).collect::<Vec<_>>())
}

fn refuse(refused: &[RejectedEffect]) -> Statement<'_> {
    let positions = refused.iter().map(|effect| to_bigint(effect.position));
    let tenants = refused.iter().map(|effect| effect.tenant_id.as_uuid());
    let effects = refused.iter().map(|effect| effect.effect.as_str());
    let reasons = refused.iter().map(|effect| effect.reason.as_str());
    sqlx::query(REFUSE)
        .bind(positions.collect::<Vec<_>>())
        .bind(effects.collect::<Vec<_>>())
        .bind(tenants.collect::<Vec<_>>())
        .bind(reasons.collect::<Vec<_>>())
}

fn memory(row: &PgRow) -> Result<MemoryEntry, EngineError> {
    let columns = PgRowReader::new(row);
    let due_at_ms = match columns.maybe_bytes(5, "due_at")? {
        Some(_) => Some(columns.bigint(5, "due_at")?),
        None => None,
    };
    Ok(MemoryEntry {
        id: columns.uuid(0, "id")?,
        topic: columns.text(1, "topic")?.to_owned(),
        tenant_id: TenantId::from(columns.uuid(2, "tenant")?),
        key: columns.text(3, "key")?.to_owned(),
        value: columns.text(4, "value")?.to_owned(),
        due_at_ms,
    })
}
