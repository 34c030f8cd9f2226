//! Archived partitions of the log.

use async_trait::async_trait;

use super::EventLog;
use crate::archive::{ArchivedPartition, LogPartition};
use crate::error::EngineError;
use crate::log::StoredEvent;

/// Archived partitions of the log.
///
/// # Errors
///
/// As described at [`Engine`](super::Engine).
#[async_trait]
pub trait LogArchive: EventLog {
    /// Returns the archived partitions, from the start of the log. Positions below the last one's `past_position` can
    /// be read only with [`LogArchive::retained_events`]; other reads fail with [`EngineError::Archived`].
    async fn archives(&self) -> Result<Vec<ArchivedPartition>, EngineError>;

    /// Returns the oldest partition that is not archived; `None` if the log has no partitions.
    async fn oldest_partition(&self) -> Result<Option<LogPartition>, EngineError>;

    /// Archives the oldest partition, as the owner of the database. Returns the number of events below its end that are
    /// retained in the log.
    async fn archive_oldest(
        &self,
        archive: &ArchivedPartition,
        kept_types: &[&str],
    ) -> Result<u64, EngineError>;

    /// Returns archived events of streams that are still in use, with `after < position`, in order, at most `limit`.
    async fn retained_events(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EngineError>;
}
