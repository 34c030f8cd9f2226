//! Stores the policy memory of subscriptions, with their checkpoints.

use roentgen_domain::ids::TenantId;
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::error::EngineError;
use crate::policy_memory::{MemoryBatch, MemoryEntry, RejectedEffect};

use super::pooled_call::PooledCall;
use super::row_reader::{PgRowReader, to_bigint};
use super::write_projection::bind_checkpoint;
use super::{ANSWER_TIMEOUT, Postgres, Statement, error_class};

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

impl Postgres {
    pub(super) async fn memories_by_id(
        &self,
        ids: &[Uuid],
    ) -> Result<Vec<MemoryEntry>, EngineError> {
        self.fetch(sqlx::query(FIND).bind(ids), memory).await
    }

    pub(super) async fn first_timers(&self, limit: u32) -> Result<Vec<MemoryEntry>, EngineError> {
        self.fetch(sqlx::query(DUE).bind(i64::from(limit)), memory)
            .await
    }

    pub(super) async fn last_refused(
        &self,
        limit: u32,
    ) -> Result<Vec<RejectedEffect>, EngineError> {
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

    pub(super) async fn write_memory(&self, batch: &MemoryBatch<'_>) -> Result<bool, EngineError> {
        let mut connection = PooledCall::acquire(&self.projectors).await?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, write(&mut connection, batch)).await;
        let answer = connection.complete(answer);
        answer.unwrap_or_else(|| Err(EngineError::ConnectionLost(error_class::timed_out())))
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
    let moved = sqlx::query(include_str!("queries/checkpoints_move.sql"));
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
