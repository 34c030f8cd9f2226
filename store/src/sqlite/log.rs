//! Reads the log.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use roentgen_domain::ids::{StreamId, TenantId};
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::Sqlite;
use super::error_class::classify;
use super::row_reader::SqliteRowReader;
use super::statement::{bound, hex_array, int};
use super::{append, keys};
use crate::chain::{GENESIS, Head};
use crate::engine::{EventLog, NotificationStream};
use crate::error::EngineError;
use crate::log::{
    AppendBatch, BatchOutcome, HeldReservation, LogFilter, LogPage, MAX_PAGE_BYTES,
    MAX_POSITIONS_PER_PAGE, ReservationKey, StoredEvent, StreamTails, TailsPageLimit,
};
use crate::readers::Scope;
use crate::sql::{Arg, Statement};

/// Expands to `SELECT <an event's columns> FROM <from>`.
macro_rules! select_events {
    ($from:literal) => {
        concat!(
            "SELECT position, tenant, stream_type, stream_id, version, event_id, type, ",
            "schema_version, recorded_at, payload, sealed, metadata, leaf, hash FROM ",
            $from
        )
    };
}

#[async_trait]
impl EventLog for Sqlite {
    async fn head(&self) -> Result<Head, EngineError> {
        let mut reading = self.log.read().await?;
        let row = reading
            .fetch_optional(sqlx::query(
                "SELECT position, hash FROM events ORDER BY position DESC LIMIT 1",
            ))
            .await?;
        let Some(row) = row else {
            return Ok(Head {
                position: 0,
                hash: GENESIS,
            });
        };
        let position = SqliteRowReader::new(&row).number("position")?;
        Ok(Head {
            position,
            hash: SqliteRowReader::at(&row, position).digest("hash")?,
        })
    }

    async fn event_at(&self, position: u64) -> Result<Option<StoredEvent>, EngineError> {
        let mut reading = self.log.read().await?;
        let row = reading
            .fetch_optional(
                sqlx::query(select_events!("events WHERE position = ?1")).bind(int(position)),
            )
            .await?;
        row.as_ref().map(stored_event).transpose()
    }

    /// Reads events of a stream. The tenant is checked before any event is read: another tenant's stream costs the same as
    /// an unknown id.
    async fn read_stream(
        &self,
        scope: Scope,
        stream_id: StreamId,
        after_version: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError> {
        let mut reading = self.log.read().await?;
        let rows = reading
            .fetch_all(
                sqlx::query(select_events!(
                    "(SELECT id FROM streams WHERE id = ?1 AND (?4 IS NULL OR tenant = ?4)) AS own \
             CROSS JOIN events INDEXED BY events_by_stream \
             WHERE stream_id = own.id AND version > ?2 ORDER BY version LIMIT ?3"
                ))
                .bind(stream_id.as_uuid())
                .bind(int(after_version))
                .bind(limit)
                .bind(scope.tenant().map(TenantId::as_uuid)),
            )
            .await?;
        rows.iter().map(stored_event).collect()
    }

    /// Reads a page of the log. The head is read first, and later events are ignored; the log is append-only, so the page
    /// is one snapshot.
    async fn read_log(
        &self,
        after: u64,
        limit: u32,
        filter: &LogFilter,
    ) -> Result<LogPage, EngineError> {
        let to = self
            .head()
            .await?
            .position
            .min(after.saturating_add(MAX_POSITIONS_PER_PAGE));
        if to <= after || limit == 0 {
            return Ok(LogPage {
                events: Vec::new(),
                scanned_to: after,
            });
        }
        let mut reading = self.log.read().await?;
        let query = bound(page_statement(after, to, limit, filter));
        let mut events = Vec::new();
        let mut bytes = 0;
        let mut rows = reading.fetch(query)?;
        while let Some(row) = rows.try_next().await.map_err(classify)? {
            let event = stored_event(&row)?;
            bytes += event.memory_bytes();
            events.push(event);
            if bytes >= MAX_PAGE_BYTES {
                break;
            }
        }
        drop(rows);
        if bytes < MAX_PAGE_BYTES {
            reading.has_ended();
        }
        let full =
            bytes >= MAX_PAGE_BYTES || events.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let scanned_to = events
            .last()
            .filter(|_| full)
            .map_or(to, |last| last.position);
        Ok(LogPage { events, scanned_to })
    }

    async fn count_streams(&self, stream_type: &str, upto: u64) -> Result<u64, EngineError> {
        let mut reading = self.log.read_at_length().await?;
        let count = reading
            .fetch_one(
                sqlx::query(
                    "SELECT count(*) AS streams FROM streams WHERE type = ?1 AND first_position <= ?2",
                )
                .bind(stream_type)
                .bind(int(upto)),
            )
            .await?;
        SqliteRowReader::new(&count).number("streams")
    }

    async fn stream_tails(
        &self,
        streams: &[StreamId],
        upto: u64,
    ) -> Result<StreamTails, EngineError> {
        let mut reading = self.log.read().await?;
        let query = sqlx::query(include_str!("queries/select_stream_tails.sql"))
            .bind(hex_array(streams.iter().map(|id| id.as_uuid())))
            .bind(int(upto));
        let mut events = Vec::new();
        let mut end = TailsPageLimit::default();
        let mut is_cut = false;
        let mut rows = reading.fetch(query)?;
        while let Some(row) = rows.try_next().await.map_err(classify)? {
            let event = stored_event(&row)?;
            is_cut = end.is_before(&event);
            events.push(event);
            if is_cut {
                break;
            }
        }
        drop(rows);
        if !is_cut {
            reading.has_ended();
        }
        Ok(TailsPageLimit::cut(events, streams, is_cut))
    }

    async fn first_stream_mismatch(&self) -> Result<Option<u64>, EngineError> {
        let mut reading = self.log.read_at_length().await?;
        let row = reading
            .fetch_one(sqlx::query(include_str!(
                "queries/find_stream_mismatch.sql"
            )))
            .await?;
        let fields = SqliteRowReader::new(&row);
        let position: Option<i64> = fields.get("position")?;
        position
            .map(|position| u64::try_from(position).map_err(|_| fields.damaged("position")))
            .transpose()
    }

    async fn append(&self, batch: &AppendBatch<'_>) -> Result<BatchOutcome, EngineError> {
        append::assert_sound(batch)?;
        let existing_keys = keys::offer(&self.keys, batch, self.master_id()).await?;
        append::append(&self.log, batch, existing_keys).await
    }

    /// Does nothing: other processes that use the same files poll.
    async fn notify_appended(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn listen(&self) -> Result<Option<Box<dyn NotificationStream>>, EngineError> {
        Ok(None)
    }

    async fn reservation(
        &self,
        key: ReservationKey,
        now_ms: i64,
    ) -> Result<Option<HeldReservation>, EngineError> {
        let mut reading = self.log.read().await?;
        let found = reading
            .fetch_optional(
                sqlx::query("SELECT * FROM claims WHERE key = ?1 AND expires_at > ?2")
                    .bind(key.0.to_vec())
                    .bind(now_ms),
            )
            .await?;
        let Some(row) = found else { return Ok(None) };
        let fields = SqliteRowReader::new(&row);
        Ok(Some(HeldReservation {
            request_hash: fields.digest("request_hash")?,
            stream_id: fields.get::<Uuid>("stream_id")?.into(),
            version: fields.number("version")?,
            expires_at_ms: fields.get("expires_at")?,
        }))
    }

    async fn delete_expired_reservations(
        &self,
        now_ms: i64,
        limit: u32,
    ) -> Result<u64, EngineError> {
        let mut writing = self.log.write().await?;
        let swept = sqlx::query(include_str!("queries/delete_expired_reservations.sql"))
            .bind(now_ms)
            .bind(limit)
            .execute(&mut *writing)
            .await
            .map_err(classify)?;
        Ok(swept.rows_affected())
    }
}

/// Builds the statement for the narrowest index, in its order: a stream's versions, a tenant's positions, all
/// positions.
fn page_statement(after: u64, to: u64, limit: u32, filter: &LogFilter) -> Statement {
    let LogFilter {
        tenant_id,
        event_types,
        stream_type,
        stream_id,
        patient_id,
        beginnings,
    } = filter;
    let types = (!event_types.is_empty()).then(|| serde_json::json!(event_types).to_string());
    let mut args = vec![
        Arg::Int(int(after)),
        Arg::Int(int(to)),
        Arg::Int(i64::from(limit)),
    ];
    let tenant = tenant_id.map(|tenant| Arg::Uuid(tenant.as_uuid()));
    let (from, order, tenant) = match (stream_id, tenant) {
        (Some(stream), tenant) => (own_events(&mut args, *stream, tenant), "version", None),
        (None, Some(tenant)) => {
            let from = "events INDEXED BY events_by_tenant WHERE true".to_owned();
            (from, "position", Some(tenant))
        }
        (None, None) => {
            let from = "events NOT INDEXED WHERE true".to_owned();
            (from, "position", None)
        }
    };
    let wanted = [
        ("tenant = ", tenant, ""),
        ("stream_type = ", stream_type.clone().map(Arg::Text), ""),
        (
            "type IN (SELECT value FROM json_each(",
            types.map(Arg::Text),
            "))",
        ),
        (
            "json_extract(payload, '$.patient_id') = ",
            patient_id.map(|id| Arg::Text(id.to_string())),
            "",
        ),
        ("version = ", beginnings.then_some(Arg::Int(1)), ""),
    ];
    let mut conditions = String::new();
    for (before, arg, behind) in wanted {
        if let Some(arg) = arg {
            args.push(arg);
            conditions += &format!(" AND {before}?{}{behind}", args.len());
        }
    }
    let events = select_events!("");
    let sql = format!(
        "{events}{from}{conditions} AND position > ?1 AND position <= ?2 ORDER BY {order} LIMIT ?3"
    );
    Statement { sql, args }
}

/// Returns the source of one stream's events; the tenant is checked before any event is read.
fn own_events(args: &mut Vec<Arg>, stream: StreamId, tenant: Option<Arg>) -> String {
    args.push(Arg::Uuid(stream.as_uuid()));
    let mut own = format!("id = ?{}", args.len());
    if let Some(tenant) = tenant {
        args.push(tenant);
        own += &format!(" AND tenant = ?{}", args.len());
    }
    format!(
        "(SELECT id FROM streams WHERE {own}) AS own \
         CROSS JOIN events INDEXED BY events_by_stream WHERE stream_id = own.id"
    )
}

fn stored_event(row: &SqliteRow) -> Result<StoredEvent, EngineError> {
    let position = SqliteRowReader::new(row).number("position")?;
    let fields = SqliteRowReader::at(row, position);
    let id = |column| fields.get::<Uuid>(column);
    let name = |column| fields.get::<&str>(column).map(Arc::from);
    Ok(StoredEvent {
        position,
        tenant_id: id("tenant")?.into(),
        stream_type: name("stream_type")?,
        stream_id: id("stream_id")?.into(),
        version: fields.number("version")?,
        event_id: id("event_id")?.into(),
        event_type: name("type")?,
        schema_version: fields.number("schema_version")?,
        recorded_at_ms: fields.get("recorded_at")?,
        payload: fields.get("payload")?,
        sealed: fields.get("sealed")?,
        metadata: fields.get("metadata")?,
        leaf: fields.digest("leaf")?,
        hash: fields.digest("hash")?,
    })
}
