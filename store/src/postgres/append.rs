//! Appends a batch in one call of the database.

use std::sync::atomic::Ordering;

use roentgen_domain::ids::StreamId;
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::chain::{Digest, Head};
use crate::error::{Corruption, EngineError};
use crate::log::{AppendBatch, AppendOutcome, BatchOutcome, HeldReservation};

use super::partitions::PartitionMaintainer;
use super::row_reader::PgRowReader;
use super::{ANSWER_TIMEOUT, Postgres, error_class};

mod arguments;
mod predicted_head;

use arguments::AppendArguments;
use predicted_head::PredictedHead;

/// The only connection for appends, and what is known from the last batch.
#[derive(Debug, Default)]
pub(super) struct AppendConnection {
    connection: Option<PgConnection>,
    ahead: PartitionMaintainer,
    outlook: Option<PredictedHead>,
}

impl AppendConnection {
    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(
                event = "db.append_connection_close_failed",
                %error,
                "append connection did not close cleanly",
            );
        }
    }
}

impl Postgres {
    /// Appends a batch. The connection is put back only after the answer: a cancelled call drops the connection
    /// together with the unread answer.
    pub(super) async fn append_batch(
        &self,
        batch: &AppendBatch<'_>,
    ) -> Result<BatchOutcome, EngineError> {
        let arguments = AppendArguments::from_batch(batch)?;
        let mut appending = self.appending.lock().await;
        let mut connection = match appending.connection.take() {
            Some(connection) => connection,
            None => self.connector.connect().await?,
        };
        let at_least = self.head_at_least.load(Ordering::Relaxed);
        let outlook = appending.outlook.take();
        let call = arguments.bind(batch, outlook, at_least, appending.ahead.capacity);
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, call.fetch_one(&mut connection))
            .await
            .unwrap_or_else(|_| Err(error_class::timed_out()));
        let row = match answer {
            Ok(row) => row,
            Err(error) => {
                if error_class::is_connection_usable(&error) {
                    appending.connection = Some(connection);
                }
                return Err(error_class::classify_write(error));
            }
        };
        let answer = LogAppendRow::from_row(&row)?;
        let outcome = answer.outcome(batch)?;
        let outlook = PredictedHead::after(batch, &outcome);
        let head = outlook.head.position;
        appending.outlook = Some(outlook);
        self.head_at_least.store(head, Ordering::Relaxed);
        if appending
            .ahead
            .ensure_next(&mut connection, head, answer.capacity)
            .await
        {
            appending.connection = Some(connection);
        }
        Ok(outcome)
    }
}

/// Result of `log_append`; arrays have one element per append.
struct LogAppendRow {
    base: u64,
    base_hash: Digest,
    recorded_at_ms: i64,
    capacity: u64,
    kinds: Vec<i32>,
    positions: Vec<Option<i64>>,
    recordeds: Vec<Option<i64>>,
    streams: Vec<Option<uuid::Uuid>>,
    versions: Vec<Option<i64>>,
    request_hashes: Vec<Option<Vec<u8>>>,
    expires: Vec<Option<i64>>,
}

impl LogAppendRow {
    fn from_row(row: &PgRow) -> Result<Self, EngineError> {
        let columns = PgRowReader::new(row);
        Ok(Self {
            base: columns.count(0, "base")?,
            base_hash: columns.digest(1, "base_hash")?,
            recorded_at_ms: columns.bigint(2, "recorded")?,
            capacity: columns.count(3, "capacity")?,
            kinds: row.try_get(4).map_err(malformed_append_result)?,
            positions: row.try_get(5).map_err(malformed_append_result)?,
            recordeds: row.try_get(6).map_err(malformed_append_result)?,
            streams: row.try_get(7).map_err(malformed_append_result)?,
            versions: row.try_get(8).map_err(malformed_append_result)?,
            request_hashes: row.try_get(9).map_err(malformed_append_result)?,
            expires: row.try_get(10).map_err(malformed_append_result)?,
        })
    }

    fn outcome(&self, batch: &AppendBatch<'_>) -> Result<BatchOutcome, EngineError> {
        if self.kinds.len() != batch.appends.len() {
            return Err(Corruption::AppendResult.into());
        }
        let verdicts = (0..self.kinds.len()).map(|n| self.verdict(n));
        Ok(BatchOutcome {
            verdicts: verdicts
                .collect::<Option<_>>()
                .ok_or(Corruption::AppendResult)?,
            before: Head {
                position: self.base,
                hash: self.base_hash,
            },
            recorded_at_ms: self.recorded_at_ms,
        })
    }

    fn verdict(&self, n: usize) -> Option<AppendOutcome> {
        match self.kinds.get(n)? {
            0 => Some(AppendOutcome::Written),
            1 => Some(AppendOutcome::Conflict {
                stream_id: self.stream(n)?,
                actual: count_at(&self.versions, n)?,
            }),
            2 => Some(AppendOutcome::KeyTaken {
                held: self.held(n)?,
            }),
            3 => Some(AppendOutcome::PatientKeyExists),
            4 => Some(AppendOutcome::AlreadyWritten {
                first_position: count_at(&self.positions, n)?,
                recorded_at_ms: at(&self.recordeds, n)?,
            }),
            _ => None,
        }
    }

    fn held(&self, n: usize) -> Option<HeldReservation> {
        Some(HeldReservation {
            request_hash: self.request_hashes.get(n)?.as_deref()?.try_into().ok()?,
            stream_id: self.stream(n)?,
            version: count_at(&self.versions, n)?,
            expires_at_ms: at(&self.expires, n)?,
        })
    }

    fn stream(&self, n: usize) -> Option<StreamId> {
        self.streams.get(n)?.map(StreamId::from)
    }
}

fn at(numbers: &[Option<i64>], n: usize) -> Option<i64> {
    numbers.get(n).copied().flatten()
}

fn count_at(numbers: &[Option<i64>], n: usize) -> Option<u64> {
    u64::try_from(at(numbers, n)?).ok()
}

fn malformed_append_result(_: sqlx::Error) -> EngineError {
    Corruption::AppendResult.into()
}

#[cfg(test)]
mod tests;
