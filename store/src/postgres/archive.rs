//! Archives partitions of the log, and rejects reads of archived events.

use async_trait::async_trait;
use roentgen_domain::ids::{StreamId, TenantId};
use sqlx::{Connection as _, Row as _};

use super::row_reader::{PgRowReader, to_bigint};
use super::{Postgres, error_class};
use crate::archive::{ArchivedPartition, LogPartition};
use crate::clock;
use crate::engine::LogArchive;
use crate::error::EngineError;
use crate::log::{LogFilter, StoredEvent};
use crate::readers::Scope;

const ALL: &str = "SELECT first_position, past_position, last_hash, file_name, file_sha256 \
    FROM log_archives ORDER BY first_position";

const PAST: &str = "SELECT max(past_position) FROM log_archives HAVING max(past_position) > $1";

/// End of the archive, if the stream ends in the archive and its last event is not in the log.
const PAST_OF_STREAM: &str = "SELECT a.past FROM streams s, \
    LATERAL (SELECT max(past_position) AS past FROM log_archives) AS a \
    WHERE s.id = $1 AND ($2::uuid IS NULL OR s.tenant = $2) AND s.last_position < a.past \
      AND NOT EXISTS (SELECT FROM events e WHERE e.position = s.last_position)";

const OLDEST: &str = "SELECT first_position, past_position FROM log_partitions \
    WHERE first_position >= coalesce((SELECT max(past_position) FROM log_archives), 0) \
    ORDER BY past_position LIMIT 1";

const KEPT: &str = concat!(
    include_str!("queries/events_select.sql"),
    "WHERE position > $1 AND position < (SELECT max(past_position) FROM log_archives) \
     ORDER BY position LIMIT $2"
);

const ARCHIVE: &str = "SELECT log_archive($1, $2, $3, $4, $5, $6, $7)";

#[async_trait]
impl LogArchive for Postgres {
    async fn archives(&self) -> Result<Vec<ArchivedPartition>, EngineError> {
        self.fetch(sqlx::query(ALL), |row| {
            let columns = PgRowReader::new(row);
            Ok(ArchivedPartition {
                partition: LogPartition {
                    first_position: columns.count(0, "first_position")?,
                    past_position: columns.count(1, "past_position")?,
                },
                last_hash: columns.digest(2, "last_hash")?,
                file_name: columns.text(3, "file_name")?.to_owned(),
                file_sha256: columns.digest(4, "file_sha256")?,
            })
        })
        .await
    }

    async fn oldest_partition(&self) -> Result<Option<LogPartition>, EngineError> {
        let found = self.fetch(sqlx::query(OLDEST), |row| {
            let columns = PgRowReader::new(row);
            Ok(LogPartition {
                first_position: columns.count(0, "first_position")?,
                past_position: columns.count(1, "past_position")?,
            })
        });
        Ok(found.await?.pop())
    }

    /// Archives a partition as the owner, who alone may detach parts of the log; copying has no statement timeout.
    async fn archive_oldest(
        &self,
        archive: &ArchivedPartition,
        kept_types: &[&str],
    ) -> Result<u64, EngineError> {
        let owner = self.connector.migration_pool();
        let kept = async {
            let mut connection = owner.acquire().await.map_err(EngineError::Unavailable)?;
            let mut transaction = connection
                .begin()
                .await
                .map_err(error_class::classify_write)?;
            let kept: i64 = sqlx::query(ARCHIVE)
                .bind(to_bigint(archive.partition.first_position))
                .bind(to_bigint(archive.partition.past_position))
                .bind(archive.last_hash.as_slice())
                .bind(&archive.file_name)
                .bind(archive.file_sha256.as_slice())
                .bind(kept_types)
                .bind(clock::now_ms())
                .fetch_one(&mut *transaction)
                .await
                .and_then(|row| row.try_get(0))
                .map_err(error_class::classify_write)?;
            transaction
                .commit()
                .await
                .map_err(error_class::classify_write)?;
            Ok(kept.unsigned_abs())
        };
        let kept = kept.await;
        owner.close().await;
        kept
    }

    async fn retained_events(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError> {
        let kept = sqlx::query(KEPT).bind(to_bigint(after));
        self.events(kept.bind(i64::from(limit))).await
    }
}

impl Postgres {
    pub(super) async fn refuse_archived_position(&self, position: u64) -> Result<(), EngineError> {
        self.reject_if_archived(sqlx::query(PAST).bind(to_bigint(position)))
            .await
    }

    pub(super) async fn refuse_archived_stream(
        &self,
        scope: Scope,
        id: StreamId,
    ) -> Result<(), EngineError> {
        let boundary = sqlx::query(PAST_OF_STREAM)
            .bind(id.as_uuid())
            .bind(scope.tenant().map(TenantId::as_uuid));
        self.reject_if_archived(boundary).await
    }

    /// Rejects a page that needs archived events: a page of one stream by that stream, any other by the position after
    /// `after`.
    pub(super) async fn refuse_archived_page(
        &self,
        after: u64,
        filter: &LogFilter,
        is_empty: bool,
    ) -> Result<(), EngineError> {
        match filter.stream_id {
            Some(stream) if is_empty => {
                let scope = filter.tenant_id.map_or(Scope::AllTenants, Scope::Tenant);
                self.refuse_archived_stream(scope, stream).await
            }
            Some(_) => Ok(()),
            None => self.refuse_archived_position(after.saturating_add(1)).await,
        }
    }

    async fn reject_if_archived(&self, boundary: super::Statement<'_>) -> Result<(), EngineError> {
        let past = self.fetch(boundary, |row| {
            PgRowReader::new(row).count(0, "past_position")
        });
        match past.await?.pop() {
            Some(past_position) => Err(EngineError::Archived { past_position }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
