//! Pools connections that read, each with a deadline for its statement.
//!
//! SQLite has no statement timeout: a statement runs until it is interrupted, even if its result is no longer wanted.
//! Each reader therefore has a progress handler, which SQLite calls every few hundred instructions. The handler stops
//! the statement at its deadline, or when its caller has dropped it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Connection as _, Error, SqliteConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error_class::classify;
use super::statement::SqliteStatement;
use crate::error::EngineError;
use crate::pace::YieldPacer;

/// Number of instructions of SQLite's virtual machine between two checks of the deadline. A `LIKE` comparison is one
/// instruction, so the number must be small enough for rows with long texts.
const INSTRUCTIONS: i32 = 250;

/// Bounded number of connections that read one file.
#[derive(Debug)]
pub(super) struct Readers {
    options: SqliteConnectOptions,
    /// Maximum wait of a caller for a connection.
    turn: Duration,
    count: u32,
    places: Semaphore,
    idle: Mutex<Vec<Reader>>,
}

#[derive(Debug)]
struct Reader {
    connection: SqliteConnection,
    watch: Arc<StatementDeadline>,
    state: ReaderState,
}

/// State of a reader's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReaderState {
    Idle,
    /// A statement was sent, and its end was not read.
    Busy,
    /// The connection cannot be used again.
    Broken,
}

/// Deadline of the running statement, in milliseconds since `began`.
#[derive(Debug)]
struct StatementDeadline {
    began: Instant,
    until_ms: AtomicU64,
}

const NEVER: u64 = u64::MAX;
const IMMEDIATELY: u64 = 0;

impl StatementDeadline {
    fn stop_after(&self, time: Option<Duration>) {
        let until = time.map_or(NEVER, |time| {
            let until = self.began.elapsed() + time;
            u64::try_from(until.as_millis()).unwrap_or(NEVER).max(1)
        });
        self.until_ms.store(until, Ordering::Relaxed);
    }

    fn stop_now(&self) {
        self.until_ms.store(IMMEDIATELY, Ordering::Relaxed);
    }

    /// Checks whether the statement may continue. Called on the connection's thread.
    fn lets_go_on(&self) -> bool {
        match self.until_ms.load(Ordering::Relaxed) {
            NEVER => true,
            IMMEDIATELY => false,
            until => self.began.elapsed().as_millis() < u128::from(until),
        }
    }
}

impl Readers {
    pub(super) fn new(options: SqliteConnectOptions, count: u32, turn: Duration) -> Self {
        Self {
            options,
            turn,
            count,
            places: Semaphore::new(count as usize),
            idle: Mutex::default(),
        }
    }

    /// Returns a connection whose statements are stopped after `time`, if given.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] if no connection is free in time, or the readers are closed.
    pub(super) async fn acquire(
        &self,
        time: Option<Duration>,
    ) -> Result<ReadConnection<'_>, EngineError> {
        let place = tokio::time::timeout(self.turn, self.places.acquire()).await;
        let place = place.map_err(|_| classify(Error::PoolTimedOut))?;
        let place = place.map_err(|_| classify(Error::PoolClosed))?;
        let mut reading = ReadConnection {
            reader: self.idle().pop(),
            home: self,
            _place: place,
        };
        reading.make_ready().await?;
        if let Some(reader) = &reading.reader {
            reader.watch.stop_after(time);
        }
        Ok(reading)
    }

    async fn connect(&self) -> Result<Reader, EngineError> {
        let watch = Arc::new(StatementDeadline {
            began: Instant::now(),
            until_ms: AtomicU64::new(NEVER),
        });
        let mut connection = self.options.connect().await.map_err(classify)?;
        let watching = Arc::clone(&watch);
        let mut handle = connection.lock_handle().await.map_err(classify)?;
        handle.set_progress_handler(INSTRUCTIONS, move || watching.lets_go_on());
        drop(handle);
        Ok(Reader {
            connection,
            watch,
            state: ReaderState::Idle,
        })
    }

    /// Waits for the running statements, and closes all connections.
    pub(super) async fn close(&self) {
        let all = self.places.acquire_many(self.count).await;
        self.places.close();
        drop(all);
        let idle = std::mem::take(&mut *self.idle());
        for reader in idle {
            if let Err(error) = reader.connection.close().await {
                tracing::warn!(
                    event = "sqlite.reader_close_failed",
                    %error,
                    "read connection did not close cleanly",
                );
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Read connection in use. Dropping it in the middle of a statement stops the statement.
#[derive(Debug)]
pub(super) struct ReadConnection<'a> {
    reader: Option<Reader>,
    home: &'a Readers,
    _place: SemaphorePermit<'a>,
}

impl ReadConnection<'_> {
    /// Fetches all rows of a statement.
    pub(super) async fn fetch_all(
        &mut self,
        query: SqliteStatement,
    ) -> Result<Vec<SqliteRow>, EngineError> {
        let reader = self.reader()?;
        let answer = all_of(query.fetch(&mut reader.connection)).await;
        reader.ends(answer)
    }

    /// Fetches the only row of a statement.
    pub(super) async fn fetch_one(
        &mut self,
        query: SqliteStatement,
    ) -> Result<SqliteRow, EngineError> {
        let reader = self.reader()?;
        let answer = query.fetch_one(&mut reader.connection).await;
        reader.ends(answer)
    }

    /// Fetches the first row of a statement, if any.
    pub(super) async fn fetch_optional(
        &mut self,
        query: SqliteStatement,
    ) -> Result<Option<SqliteRow>, EngineError> {
        let reader = self.reader()?;
        let answer = query.fetch_optional(&mut reader.connection).await;
        reader.ends(answer)
    }

    /// Streams a statement's rows. The caller may stop before the end.
    pub(super) fn fetch(
        &mut self,
        query: SqliteStatement,
    ) -> Result<BoxStream<'_, Result<SqliteRow, Error>>, EngineError> {
        Ok(query.fetch(&mut self.reader()?.connection))
    }

    /// Records that the last statement's rows were read to their end.
    pub(super) fn has_ended(&mut self) {
        if let Some(reader) = &mut self.reader {
            reader.state = ReaderState::Idle;
        }
    }

    /// Returns the reader, marked as busy until the statement's end was read.
    fn reader(&mut self) -> Result<&mut Reader, EngineError> {
        let reader = self.reader.as_mut();
        let reader = reader.ok_or_else(|| classify(Error::PoolClosed))?;
        reader.state = ReaderState::Busy;
        Ok(reader)
    }

    /// Connects if there is no connection. If the last caller left a running statement, waits until it has stopped.
    async fn make_ready(&mut self) -> Result<(), EngineError> {
        if let Some(reader) = &mut self.reader
            && reader.state == ReaderState::Busy
        {
            match reader.connection.ping().await {
                Ok(()) => reader.state = ReaderState::Idle,
                Err(_) => self.reader = None,
            }
        }
        if self.reader.is_none() {
            self.reader = Some(self.home.connect().await?);
        }
        Ok(())
    }
}

impl Reader {
    fn ends<T>(&mut self, answer: Result<T, Error>) -> Result<T, EngineError> {
        self.state = match &answer {
            Ok(_) | Err(Error::Database(_) | Error::RowNotFound) => ReaderState::Idle,
            Err(_) => ReaderState::Broken,
        };
        answer.map_err(classify)
    }
}

impl Drop for ReadConnection<'_> {
    fn drop(&mut self) {
        let Some(reader) = self.reader.take() else {
            return;
        };
        match reader.state {
            ReaderState::Idle => {}
            ReaderState::Busy => reader.watch.stop_now(),
            ReaderState::Broken => return,
        }
        self.home.idle().push(reader);
    }
}

/// Collects all rows. Yields regularly, because the statement's thread may be faster than this task.
async fn all_of(
    mut rows: BoxStream<'_, Result<SqliteRow, Error>>,
) -> Result<Vec<SqliteRow>, Error> {
    let mut all = Vec::new();
    let pace = YieldPacer::begin();
    while let Some(row) = rows.try_next().await? {
        all.push(row);
        pace.rest().await;
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
