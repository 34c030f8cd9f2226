//! The log is a single table in SQLite: nothing is archived.

use async_trait::async_trait;

use super::Sqlite;
use crate::archive::{ArchivedPartition, LogPartition};
use crate::engine::LogArchive;
use crate::error::EngineError;
use crate::log::StoredEvent;

#[async_trait]
impl LogArchive for Sqlite {
    /// Returns nothing: the log is a single table in SQLite.
    async fn archives(&self) -> Result<Vec<ArchivedPartition>, EngineError> {
        Ok(Vec::new())
    }

    async fn oldest_partition(&self) -> Result<Option<LogPartition>, EngineError> {
        Ok(None)
    }

    async fn archive_oldest(&self, _: &ArchivedPartition, _: &[&str]) -> Result<u64, EngineError> {
        let what = "SQLite logs have no partitions; nothing to archive";
        Err(EngineError::Rejected(sqlx::Error::InvalidArgument(
            what.to_owned(),
        )))
    }

    async fn retained_events(&self, _: u64, _: u32) -> Result<Vec<StoredEvent>, EngineError> {
        Ok(Vec::new())
    }
}
