//! Reading the log.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use roentgen_domain::ids::StreamId;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::decode::Fields;
use super::failure::classify;
use super::file::File;
use super::statement::{bound, hex_array, int};
use crate::chain::GENESIS;
use crate::engine::{MAX_PAGE_BYTES, MAX_SCAN};
use crate::error::EngineError;
use crate::log::{Head, LogFilter, LogPage, StoredEvent, Tails, TailsEnd};
use crate::sql::{Arg, Statement};

/// `SELECT <an event's columns> FROM events <rest>`.
macro_rules! select_events {
    ($rest:literal) => {
        concat!(
            "SELECT position, tenant, stream_type, stream_id, version, event_id, type, ",
            "schema_version, recorded_at, payload, sealed, metadata, leaf, hash FROM events ",
            $rest
        )
    };
}

pub(super) async fn head(log: &File) -> Result<Head, EngineError> {
    let mut reading = log.read().await?;
    let row = sqlx::query("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1")
        .fetch_optional(&mut *reading)
        .await
        .map_err(classify)?;
    let Some(row) = row else {
        return Ok(Head {
            position: 0,
            hash: GENESIS,
        });
    };
    let position = Fields::of(&row).number("position")?;
    Ok(Head {
        position,
        hash: Fields::at(&row, position).digest("hash")?,
    })
}

pub(super) async fn event_at(
    log: &File,
    position: u64,
) -> Result<Option<StoredEvent>, EngineError> {
    let mut reading = log.read().await?;
    let row = sqlx::query(select_events!("WHERE position = ?1"))
        .bind(int(position))
        .fetch_optional(&mut *reading)
        .await
        .map_err(classify)?;
    row.as_ref().map(stored_event).transpose()
}

pub(super) async fn stream(
    log: &File,
    stream_id: StreamId,
    after_version: u64,
    limit: u32,
) -> Result<Vec<StoredEvent>, EngineError> {
    let mut reading = log.read().await?;
    let rows = sqlx::query(select_events!(
        "WHERE stream_id = ?1 AND version > ?2 ORDER BY version LIMIT ?3"
    ))
    .bind(stream_id.as_uuid())
    .bind(int(after_version))
    .bind(limit)
    .fetch_all(&mut *reading)
    .await
    .map_err(classify)?;
    rows.iter().map(stored_event).collect()
}

pub(super) async fn tails(
    log: &File,
    streams: &[StreamId],
    upto: u64,
) -> Result<Tails, EngineError> {
    let mut reading = log.read().await?;
    let query = sqlx::query(include_str!("queries/events_tails.sql"))
        .bind(hex_array(streams.iter().map(|it| it.as_uuid())))
        .bind(int(upto));
    let (mut events, mut end, mut is_cut) = (Vec::new(), TailsEnd::default(), false);
    let mut rows = query.fetch(&mut *reading);
    while let Some(row) = rows.try_next().await.map_err(classify)? {
        let event = stored_event(&row)?;
        is_cut = end.is_before(&event);
        events.push(event);
        if is_cut {
            break;
        }
    }
    Ok(TailsEnd::cut(events, streams, is_cut))
}

pub(super) async fn count_streams(
    log: &File,
    stream_type: &str,
    upto: u64,
) -> Result<u64, EngineError> {
    let mut reading = log.read().await?;
    let count = sqlx::query(
        "SELECT count(*) AS streams FROM streams WHERE type = ?1 AND first_position <= ?2",
    )
    .bind(stream_type)
    .bind(int(upto))
    .fetch_one(&mut *reading)
    .await
    .map_err(classify)?;
    Fields::of(&count).number("streams")
}

/// The head is read first, and nothing behind it is looked at: since the log is only appended to, that is one snapshot.
pub(super) async fn page(
    log: &File,
    after: u64,
    limit: u32,
    filter: &LogFilter,
) -> Result<LogPage, EngineError> {
    let to = head(log)
        .await?
        .position
        .min(after.saturating_add(MAX_SCAN));
    if to <= after || limit == 0 {
        return Ok(LogPage {
            events: Vec::new(),
            scanned_to: after,
        });
    }
    let mut reading = log.read().await?;
    let query = bound(walk(after, to, limit, filter));
    let (mut events, mut bytes) = (Vec::new(), 0);
    let mut rows = query.fetch(&mut *reading);
    while let Some(row) = rows.try_next().await.map_err(classify)? {
        let event = stored_event(&row)?;
        bytes += event.weight();
        events.push(event);
        if bytes >= MAX_PAGE_BYTES {
            break;
        }
    }
    let full =
        bytes >= MAX_PAGE_BYTES || events.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let scanned_to = events
        .last()
        .filter(|_| full)
        .map_or(to, |last| last.position);
    Ok(LogPage { events, scanned_to })
}

/// By the narrowest index there is, in its own order: a stream's versions, a tenant's positions, all positions.
fn walk(after: u64, to: u64, limit: u32, filter: &LogFilter) -> Statement {
    let LogFilter {
        tenant_id,
        event_types,
        stream_type,
        stream_id,
        patient_id,
        beginnings,
    } = filter;
    let types = (!event_types.is_empty()).then(|| serde_json::json!(event_types).to_string());
    let (index, order) = match (stream_id, tenant_id) {
        (Some(_), _) => ("INDEXED BY events_by_stream", "version"),
        (None, Some(_)) => ("INDEXED BY events_by_tenant", "position"),
        (None, None) => ("NOT INDEXED", "position"),
    };
    let wanted = [
        (
            "stream_id = ",
            stream_id.map(|it| Arg::Uuid(it.as_uuid())),
            "",
        ),
        ("tenant = ", tenant_id.map(|it| Arg::Uuid(it.as_uuid())), ""),
        ("stream_type = ", stream_type.clone().map(Arg::Text), ""),
        (
            "type IN (SELECT value FROM json_each(",
            types.map(Arg::Text),
            "))",
        ),
        (
            "json_extract(payload, '$.patient_id') = ",
            patient_id.map(|it| Arg::Text(it.to_string())),
            "",
        ),
        ("version = ", beginnings.then_some(Arg::Int(1)), ""),
    ];
    let mut args = vec![
        Arg::Int(int(after)),
        Arg::Int(int(to)),
        Arg::Int(i64::from(limit)),
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
        "{events}{index} WHERE position > ?1 AND position <= ?2{conditions} ORDER BY {order} LIMIT ?3"
    );
    Statement { sql, args }
}

pub(super) async fn first_disagreement(log: &File) -> Result<Option<u64>, EngineError> {
    let mut reading = log.read().await?;
    let row = sqlx::query(include_str!("queries/streams_disagree.sql"))
        .fetch_one(&mut *reading)
        .await
        .map_err(classify)?;
    let fields = Fields::of(&row);
    let position: Option<i64> = fields.get("position")?;
    position
        .map(|it| u64::try_from(it).map_err(|_| fields.damaged("position")))
        .transpose()
}

fn stored_event(row: &SqliteRow) -> Result<StoredEvent, EngineError> {
    let position = Fields::of(row).number("position")?;
    let fields = Fields::at(row, position);
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
