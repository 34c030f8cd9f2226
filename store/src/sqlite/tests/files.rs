use super::*;
use crate::engine::{EventLog as _, KeyBinding, KeyStore as _};
use crate::error::{KeyMismatch, error_chain};
use sqlx::Connection as _;

fn names(bed: &SqliteFixture) -> Vec<String> {
    let entries = std::fs::read_dir(bed.directory.path()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn pragma(file: &crate::sqlite::file::File, sql: &'static str) -> i64 {
    let mut writing = file.write().await.unwrap();
    sqlx::query_scalar(sql)
        .fetch_one(&mut *writing)
        .await
        .unwrap()
}

#[tokio::test]
async fn three_lie_side_by_side_and_only_their_owner_reads_them() {
    let bed = SqliteFixture::new().await;
    bed.send(&[creating(stream(1), 1)]).await;
    for name in ["roentgen.db", "roentgen-read.db", "roentgen-keys.db"] {
        assert!(names(&bed).contains(&name.to_owned()), "{name}");
    }
    #[cfg(unix)]
    for name in names(&bed) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = bed
            .directory
            .path()
            .join(&name)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn missing_directories_are_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/log.db");
    Sqlite::open(&path).await.unwrap().close().await;
    assert!(path.with_file_name("log-keys.db").exists());
}

#[tokio::test]
async fn each_is_as_durable_as_it_must_be() {
    let SqliteFixture { engine, .. } = &SqliteFixture::new().await;
    let full = 2;
    let normal = 1;
    assert_eq!(pragma(&engine.log, "PRAGMA synchronous").await, full);
    assert_eq!(pragma(&engine.keys, "PRAGMA synchronous").await, full);
    assert_eq!(pragma(&engine.keys, "PRAGMA secure_delete").await, 1);
    assert_eq!(pragma(&engine.read, "PRAGMA synchronous").await, normal);
    for file in [&engine.log, &engine.read, &engine.keys] {
        let mut writing = file.write().await.unwrap();
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut *writing)
            .await
            .unwrap();
        assert_eq!(mode, "wal");
    }
}

#[tokio::test]
async fn readers_cannot_write() {
    let bed = SqliteFixture::new().await;
    let mut reading = bed.engine.log.read().await.unwrap();
    let write = reading.fetch_all(sqlx::query("DELETE FROM claims")).await;
    assert!(error_chain(&write.unwrap_err()).contains("readonly"));
}

#[tokio::test]
async fn a_second_opening_finds_what_the_first_left() {
    let bed = SqliteFixture::new().await;
    bed.send(&[creating(stream(1), 2)]).await;
    let bound = bed
        .engine
        .bind_keys(b"first", KeyBinding::Bind)
        .await
        .unwrap();
    assert_eq!(bound, None);
    let second = Sqlite::open(&bed.directory.path().join("roentgen.db"))
        .await
        .unwrap();
    second.migrate().await.unwrap();
    assert_eq!(
        second.head().await.unwrap(),
        bed.engine.head().await.unwrap()
    );
    let other = second.bind_keys(b"second", KeyBinding::Bind).await.unwrap();
    assert_eq!(other, Some(KeyMismatch::OtherMasterKey));
    second.ping().await.unwrap();
}

#[tokio::test]
async fn two_may_migrate_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("roentgen.db");
    let (one, other) = tokio::join!(Sqlite::open(&path), Sqlite::open(&path));
    let one = one.unwrap();
    let other = other.unwrap();
    let (first, second) = tokio::join!(one.migrate(), other.migrate());
    first.unwrap();
    second.unwrap();
}

#[tokio::test]
async fn a_closed_engine_is_not_available() {
    let bed = SqliteFixture::new().await;
    bed.engine.close().await;
    let refused = bed.try_send(&[creating(stream(1), 1)], false).await;
    assert!(
        matches!(refused, Err(EngineError::Unavailable(_))),
        "{refused:?}"
    );
    let refused = bed.engine.head().await;
    assert!(
        matches!(refused, Err(EngineError::Unavailable(_))),
        "{refused:?}"
    );
    bed.engine.close().await;
}

fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn file_that_others_can_open_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("data").join("roentgen.db");
    drop(Sqlite::open(&log).await.unwrap());
    let mode = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt as _;
        path.metadata().unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(log.parent().unwrap()), 0o700);
    for part in ["roentgen.db", "roentgen-read.db", "roentgen-keys.db"] {
        let path = log.with_file_name(part);
        assert_eq!(mode(&path), 0o600, "{part}");
        set_mode(&path, 0o640);
        let refused = error_chain(&Sqlite::open(&log).await.unwrap_err());
        assert!(
            refused.contains(part) && refused.contains("chmod 600"),
            "{refused}"
        );
        set_mode(&path, 0o600);
    }
    Sqlite::open(&log).await.unwrap();
}

#[tokio::test]
async fn what_is_not_a_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("roentgen.db");
    std::fs::write(&path, "a letter, not a database, and longer than a header").unwrap();
    set_mode(&path, 0o600);
    let refused = Sqlite::open(&path).await;
    assert!(
        matches!(refused, Err(EngineError::Rejected(_))),
        "{refused:?}"
    );
}

/// SQLite rolls back by itself on a full disk: the driver still counts a transaction that has ended.
#[tokio::test]
async fn a_writer_that_lost_count_is_replaced() {
    let bed = SqliteFixture::new().await;
    let mut writing = bed.engine.log.write().await.unwrap();
    let mut transaction = writing.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut *transaction)
        .await
        .unwrap();
    drop(transaction);
    drop(writing);
    bed.send(&[creating(stream(1), 1)]).await;
    assert_eq!(bed.head().await, 1);
}
