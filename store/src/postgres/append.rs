//! Appends: a batch as one call of the database.

use std::sync::atomic::Ordering;

use roentgen_domain::ids::StreamId;
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::chain::Digest;
use crate::error::{Damage, EngineError};
use crate::log::{Batch, BatchOutcome, ClaimHeld, Head, Verdict};

use super::columns::Columns;
use super::partitions::Ahead;
use super::{ANSWER_TIMEOUT, Postgres, failure};

mod arguments;
mod outlook;

use arguments::Arguments;
use outlook::Outlook;

/// The one connection for appends, and what is known from the last.
#[derive(Debug, Default)]
pub(super) struct Appending {
    connection: Option<PgConnection>,
    ahead: Ahead,
    outlook: Option<Outlook>,
}

impl Appending {
    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "the append connection did not close");
        }
    }
}

impl Postgres {
    /// The connection is put back only when the answer is in: whoever drops the call drops the connection, and with it
    /// an answer that nobody waits for.
    pub(super) async fn append_batch(
        &self,
        batch: &Batch<'_>,
    ) -> Result<BatchOutcome, EngineError> {
        let arguments = Arguments::of(batch)?;
        let mut appending = self.appending.lock().await;
        let mut connection = match appending.connection.take() {
            Some(connection) => connection,
            None => self.doors.server().await?,
        };
        let at_least = self.head_at_least.load(Ordering::Relaxed);
        let outlook = appending.outlook.take();
        let call = arguments.bind(batch, outlook, at_least, appending.ahead.capacity);
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, call.fetch_one(&mut connection))
            .await
            .unwrap_or_else(|_| Err(failure::timed_out()));
        let row = match answer {
            Ok(row) => row,
            Err(error) => {
                if failure::leaves_usable(&error) {
                    appending.connection = Some(connection);
                }
                return Err(failure::of_write(error));
            }
        };
        let answer = Answer::of(&row)?;
        let outcome = answer.outcome(batch)?;
        let outlook = Outlook::after(batch, &outcome);
        let head = outlook.head.position;
        appending.outlook = Some(outlook);
        self.head_at_least.store(head, Ordering::Relaxed);
        if appending
            .ahead
            .keep(&mut connection, head, answer.capacity)
            .await
        {
            appending.connection = Some(connection);
        }
        Ok(outcome)
    }
}

/// What `log_append` answers: arrays have one element an append.
struct Answer {
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

impl Answer {
    fn of(row: &PgRow) -> Result<Self, EngineError> {
        let columns = Columns::of(row);
        Ok(Self {
            base: columns.count(0, "base")?,
            base_hash: columns.digest(1, "base_hash")?,
            recorded_at_ms: columns.signed(2, "recorded")?,
            capacity: columns.count(3, "capacity")?,
            kinds: row.try_get(4).map_err(out_of_shape)?,
            positions: row.try_get(5).map_err(out_of_shape)?,
            recordeds: row.try_get(6).map_err(out_of_shape)?,
            streams: row.try_get(7).map_err(out_of_shape)?,
            versions: row.try_get(8).map_err(out_of_shape)?,
            request_hashes: row.try_get(9).map_err(out_of_shape)?,
            expires: row.try_get(10).map_err(out_of_shape)?,
        })
    }

    fn outcome(&self, batch: &Batch<'_>) -> Result<BatchOutcome, EngineError> {
        if self.kinds.len() != batch.appends.len() {
            return Err(Damage::Answer.into());
        }
        let verdicts = (0..self.kinds.len()).map(|n| self.verdict(n));
        Ok(BatchOutcome {
            verdicts: verdicts.collect::<Option<_>>().ok_or(Damage::Answer)?,
            before: Head {
                position: self.base,
                hash: self.base_hash,
            },
            recorded_at_ms: self.recorded_at_ms,
        })
    }

    fn verdict(&self, n: usize) -> Option<Verdict> {
        match self.kinds.get(n)? {
            0 => Some(Verdict::Written),
            1 => Some(Verdict::Conflict {
                stream_id: self.stream(n)?,
                actual: count_at(&self.versions, n)?,
            }),
            2 => Some(Verdict::Claimed {
                held: self.held(n)?,
            }),
            3 => Some(Verdict::PatientKeyExists),
            4 => Some(Verdict::AlreadyWritten {
                first_position: count_at(&self.positions, n)?,
                recorded_at_ms: at(&self.recordeds, n)?,
            }),
            _ => None,
        }
    }

    fn held(&self, n: usize) -> Option<ClaimHeld> {
        Some(ClaimHeld {
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

fn out_of_shape(_: sqlx::Error) -> EngineError {
    Damage::Answer.into()
}

#[cfg(test)]
mod tests;
