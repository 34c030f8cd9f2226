//! Reads the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use roentgen_domain::ids::{EventId, StreamId, TenantId};
use sqlx::postgres::PgRow;

use crate::chain::{GENESIS, Head};
use crate::engine::{EventLog, NotificationStream};
use crate::error::{Corruption, EngineError};
use crate::log::{
    AppendBatch, BatchOutcome, HeldReservation, LogFilter, LogPage, MAX_PAGE_BYTES,
    MAX_POSITIONS_PER_PAGE, ReservationKey, StoredEvent, StreamTails, TailsPageLimit,
};

use super::notifications::{CHANNEL, PgNotificationStream};
use super::row_reader::{PgRowReader, to_bigint};
use super::{Postgres, Statement};
use crate::readers::Scope;

const HEAD: &str =
    "SELECT position, hash FROM events WHERE position >= $1 ORDER BY position DESC LIMIT 1";

const AT: &str = concat!(
    include_str!("queries/events_select.sql"),
    "WHERE position = $1"
);

const OF_STREAM: &str = concat!(
    include_str!("queries/events_select.sql"),
    include_str!("queries/events_where_stream.sql")
);

const TAILS: &str = include_str!("queries/select_stream_tails.sql");

const STREAMS_BEGUN: &str = "SELECT count(*) FROM streams WHERE type = $1 AND first_position <= $2";

/// Query of a page. There is one per index, because a single query for all of them would be planned for none.
const PAGE: &str = concat!(
    include_str!("queries/events_select.sql"),
    include_str!("queries/events_where_filtered.sql"),
    "ORDER BY position LIMIT $3"
);

const PAGE_OF_TENANT: &str = concat!(
    include_str!("queries/events_select.sql"),
    include_str!("queries/events_where_filtered.sql"),
    "AND tenant = $7 ORDER BY position LIMIT $3"
);

const PAGE_OF_BEGINNINGS: &str = concat!(
    include_str!("queries/events_select.sql"),
    include_str!("queries/events_where_filtered.sql"),
    "AND version = 1 ORDER BY position LIMIT $3"
);

const PAGE_OF_STREAM: &str = concat!(
    include_str!("queries/events_select.sql"),
    include_str!("queries/events_where_filtered.sql"),
    "AND stream_id = $7 \
     AND EXISTS (SELECT FROM streams WHERE id = $7 AND ($8::uuid IS NULL OR tenant = $8)) \
     ORDER BY version LIMIT $3"
);

/// Lookup of a reservation of any age: a condition on the expiry would let the planner use the expiry's index.
const CLAIM: &str =
    "SELECT request_hash, stream_id, version, expires_at FROM claims WHERE key = $1";

#[async_trait]
impl EventLog for Postgres {
    async fn head(&self) -> Result<Head, EngineError> {
        let Some((position, hash)) = self.last_link().await? else {
            return Ok(Head {
                position: 0,
                hash: GENESIS,
            });
        };
        let hash = hash.try_into().map_err(|_| Corruption::Column {
            column: "hash",
            position,
        })?;
        Ok(Head { position, hash })
    }

    async fn event_at(&self, position: u64) -> Result<Option<StoredEvent>, EngineError> {
        let found = self
            .events(sqlx::query(AT).bind(to_bigint(position)))
            .await?
            .pop();
        if found.is_none() {
            self.refuse_archived_position(position).await?;
        }
        Ok(found)
    }

    async fn read_stream(
        &self,
        scope: Scope,
        stream_id: StreamId,
        after_version: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError> {
        let statement = sqlx::query(OF_STREAM)
            .bind(stream_id.as_uuid())
            .bind(to_bigint(after_version))
            .bind(i64::from(limit))
            .bind(scope.tenant().map(TenantId::as_uuid));
        let events = self.events(statement).await?;
        // A stream is in the log as a whole or not at all, so a caller that has read its start misses nothing.
        if events.is_empty() && after_version == 0 {
            self.refuse_archived_stream(scope, stream_id).await?;
        }
        Ok(events)
    }

    /// Reads a page of the log. The head is read before the events, so that no event can appear later between the
    /// events found and `scanned_to`.
    async fn read_log(
        &self,
        after: u64,
        limit: u32,
        filter: &LogFilter,
    ) -> Result<LogPage, EngineError> {
        let until = after.saturating_add(MAX_POSITIONS_PER_PAGE);
        let head = self.last_link().await?.map_or(0, |pair| pair.0);
        let mut names = Names::default();
        let mut bytes = 0;
        let mut full = false;
        let statement = page(after, until, limit, filter);
        let decoded = |row: &PgRow| decode(row, &mut names);
        let enough = |event: &StoredEvent| {
            bytes += event.memory_bytes();
            full = bytes >= MAX_PAGE_BYTES;
            full
        };
        let events = self.fetch_until(statement, decoded, enough).await?;
        // Checked after the events were read, because events archived in between are missing from the page. Readers at
        // the head skip the check.
        if after < head {
            self.refuse_archived_page(after, filter, events.is_empty())
                .await?;
        }
        let last = events.last().map_or(after, |event| event.position);
        let full = full || events.len() as u64 >= u64::from(limit);
        let scanned_to = if full {
            last
        } else {
            last.max(until.min(head))
        };
        Ok(LogPage { events, scanned_to })
    }

    async fn count_streams(&self, stream_type: &str, upto: u64) -> Result<u64, EngineError> {
        let statement = sqlx::query(STREAMS_BEGUN)
            .bind(stream_type)
            .bind(to_bigint(upto));
        let count = self.fetch_number_without_timeout(statement).await?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }

    async fn stream_tails(
        &self,
        streams: &[StreamId],
        upto: u64,
    ) -> Result<StreamTails, EngineError> {
        let ids: Vec<_> = streams.iter().map(|id| id.as_uuid()).collect();
        let statement = sqlx::query(TAILS).bind(ids).bind(to_bigint(upto));
        let mut names = Names::default();
        let mut end = TailsPageLimit::default();
        let mut is_cut = false;
        let enough = |event: &StoredEvent| {
            is_cut = end.is_before(event);
            is_cut
        };
        let decoded = |row: &PgRow| decode(row, &mut names);
        let events = self.fetch_until(statement, decoded, enough).await?;
        Ok(TailsPageLimit::cut(events, streams, is_cut))
    }

    async fn first_stream_mismatch(&self) -> Result<Option<u64>, EngineError> {
        let statement = sqlx::query(include_str!("queries/find_stream_mismatch.sql"));
        let first = self.fetch_number_without_timeout(statement).await?;
        Ok(first.map(i64::unsigned_abs))
    }

    async fn append(&self, batch: &AppendBatch<'_>) -> Result<BatchOutcome, EngineError> {
        self.append_batch(batch).await
    }

    async fn notify_appended(&self) -> Result<(), EngineError> {
        let notify = sqlx::query("SELECT pg_notify($1, $2)");
        let notify = notify.bind(CHANNEL).bind(self.node.to_string());
        self.fetch(notify, |_| Ok(())).await.map(drop)
    }

    async fn listen(&self) -> Result<Option<Box<dyn NotificationStream>>, EngineError> {
        Ok(Some(Box::new(PgNotificationStream::start(self).await?)))
    }

    async fn reservation(
        &self,
        key: ReservationKey,
        now_ms: i64,
    ) -> Result<Option<HeldReservation>, EngineError> {
        let statement = sqlx::query(CLAIM).bind(key.0.as_slice());
        let held = self.fetch(statement, |row| {
            let columns = PgRowReader::new(row);
            Ok(HeldReservation {
                request_hash: columns.digest(0, "request_hash")?,
                stream_id: StreamId::from(columns.uuid(1, "stream_id")?),
                version: columns.count(2, "version")?,
                expires_at_ms: columns.bigint(3, "expires_at")?,
            })
        });
        Ok(held.await?.pop().filter(|held| held.expires_at_ms > now_ms))
    }

    async fn delete_expired_reservations(
        &self,
        now_ms: i64,
        limit: u32,
    ) -> Result<u64, EngineError> {
        let statement = sqlx::query(include_str!("queries/delete_expired_reservations.sql"))
            .bind(now_ms)
            .bind(i64::from(limit));
        self.execute(statement).await
    }
}

impl Postgres {
    /// Returns the last event's position and hash. Searches from the last known head, and from the start if the log was
    /// restored to an earlier point.
    async fn last_link(&self) -> Result<Option<(u64, Vec<u8>)>, EngineError> {
        let at_least = self.head_at_least.load(Ordering::Relaxed);
        let mut link = self.last_link_from(at_least).await?;
        if link.is_none() && at_least > 0 {
            link = self.last_link_from(0).await?;
        }
        let position = link.as_ref().map_or(0, |pair| pair.0);
        self.head_at_least.store(position, Ordering::Relaxed);
        Ok(link)
    }

    async fn last_link_from(&self, at_least: u64) -> Result<Option<(u64, Vec<u8>)>, EngineError> {
        let found = self.fetch(sqlx::query(HEAD).bind(to_bigint(at_least)), |row| {
            let columns = PgRowReader::new(row);
            Ok((
                columns.count(0, "position")?,
                columns.bytes(1, "hash")?.to_owned(),
            ))
        });
        Ok(found.await?.pop())
    }

    pub(super) async fn events(
        &self,
        statement: Statement<'_>,
    ) -> Result<Vec<StoredEvent>, EngineError> {
        let mut names = Names::default();
        self.fetch(statement, |row| decode(row, &mut names)).await
    }
}

fn page(after: u64, until: u64, limit: u32, filter: &LogFilter) -> Statement<'_> {
    let (sql, owner) = match (filter.stream_id, filter.tenant_id) {
        (Some(stream), _) => (PAGE_OF_STREAM, Some(stream.as_uuid())),
        (None, Some(tenant)) => (PAGE_OF_TENANT, Some(tenant.as_uuid())),
        (None, None) if filter.beginnings => (PAGE_OF_BEGINNINGS, None),
        (None, None) => (PAGE, None),
    };
    let types = (!filter.event_types.is_empty()).then_some(filter.event_types.as_slice());
    let statement = sqlx::query(sql)
        .bind(to_bigint(after))
        .bind(to_bigint(until))
        .bind(i64::from(limit))
        .bind(types)
        .bind(filter.stream_type.as_deref())
        .bind(filter.patient_id.map(|id| id.to_string()));
    let statement = if let Some(owner) = owner {
        statement.bind(owner)
    } else {
        statement
    };
    match filter.stream_id {
        Some(_) => statement.bind(filter.tenant_id.map(TenantId::as_uuid)),
        None => statement,
    }
}

/// Decodes an event in the order of `queries/events_select.sql`.
fn decode(row: &PgRow, names: &mut Names) -> Result<StoredEvent, EngineError> {
    let mut columns = PgRowReader::new(row);
    columns.position = columns.count(0, "position")?;
    Ok(StoredEvent {
        position: columns.position,
        tenant_id: TenantId::from(columns.uuid(1, "tenant")?),
        stream_type: names.shared(columns.text(2, "stream_type")?),
        stream_id: StreamId::from(columns.uuid(3, "stream_id")?),
        version: columns.count(4, "version")?,
        event_id: EventId::from(columns.uuid(5, "event_id")?),
        event_type: names.shared(columns.text(6, "type")?),
        schema_version: columns.small_count(7, "schema_version")?,
        recorded_at_ms: columns.bigint(8, "recorded_at")?,
        payload: columns.text(9, "payload")?.to_owned(),
        sealed: columns.bytes(10, "sealed")?.to_owned(),
        metadata: columns.text(11, "metadata")?.to_owned(),
        leaf: columns.digest(12, "leaf")?,
        hash: columns.digest(13, "hash")?,
    })
}

/// Names that repeat on a page, stored once; there are a few dozen of them.
#[derive(Default)]
struct Names(Vec<Arc<str>>);

impl Names {
    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|text| &***text == name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        if self.0.len() < 100 {
            self.0.push(Arc::clone(&new));
        }
        new
    }
}

#[cfg(test)]
mod tests;
