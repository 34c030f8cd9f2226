use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt as _;

use super::super::statement::dynamic;
use super::*;

/// Query that never ends.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                       SELECT max(i) FROM n";
/// Timeout that is reached only if a test hangs.
const HANGS: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(3600);

fn endless() -> SqliteStatement {
    dynamic(ENDLESS.to_owned())
}

fn one() -> SqliteStatement {
    dynamic("SELECT 1".to_owned())
}

/// Creates readers with one connection, so that the next caller gets the same connection.
fn single(directory: &Path) -> Readers {
    let file = SqliteConnectOptions::new().filename(directory.join("some.db"));
    Readers::new(file.create_if_missing(true), 1, HANGS)
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(HANGS, work).await;
    done.expect("a statement was not stopped")
}

#[tokio::test]
async fn statement_is_stopped_at_its_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let readers = single(directory.path());
    let mut reading = readers.acquire(Some(Duration::ZERO)).await.unwrap();
    let stopped = in_time(reading.fetch_all(endless())).await;
    assert!(
        matches!(stopped, Err(EngineError::Unavailable(_))),
        "{stopped:?}"
    );
    drop(reading);
    let mut next = readers.acquire(Some(LONG)).await.unwrap();
    assert_eq!(next.fetch_all(one()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn statement_is_stopped_when_its_caller_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let readers = single(directory.path());
    {
        let mut reading = readers.acquire(Some(LONG)).await.unwrap();
        let mut running = Box::pin(reading.fetch_all(endless()));
        assert!(futures_util::poll!(&mut running).is_pending());
    }
    let mut next = in_time(readers.acquire(Some(LONG))).await.unwrap();
    let answer = in_time(next.fetch_all(one())).await;
    assert_eq!(answer.unwrap().len(), 1, "the connection is as good as new");
}

#[tokio::test]
async fn rows_that_are_not_read_to_their_end_hold_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let readers = single(directory.path());
    {
        let numbers =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
        let mut reading = readers.acquire(Some(LONG)).await.unwrap();
        let mut rows = reading.fetch(dynamic(numbers.to_owned())).unwrap();
        assert!(in_time(rows.try_next()).await.unwrap().is_some());
    }
    let mut next = in_time(readers.acquire(Some(LONG))).await.unwrap();
    assert_eq!(in_time(next.fetch_all(one())).await.unwrap().len(), 1);
}

#[tokio::test]
async fn caller_waits_for_a_reader_in_time_and_not_behind_a_close() {
    let directory = tempfile::tempdir().unwrap();
    let file = SqliteConnectOptions::new().filename(directory.path().join("some.db"));
    let readers = Readers::new(file.create_if_missing(true), 1, Duration::ZERO);
    let held = readers.acquire(None).await.unwrap();
    assert!(
        readers.acquire(None).await.is_err(),
        "there is one reader only"
    );
    drop(held);
    readers.close().await;
    let closed = readers.acquire(None).await;
    assert!(matches!(closed, Err(EngineError::Unavailable(_))));
}
