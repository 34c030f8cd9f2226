use crate::engine::{EventLog as _, LogArchive as _};
use roentgen_domain::ids::StreamId;

use crate::archive::ArchivedPartition;
use crate::error::EngineError;
use crate::log::{AppendOutcome, LogFilter};
use crate::postgres::test_support::{PostgresFixture, run, sqlstate_of, stream, to};
use crate::readers::Scope;

/// Archives the log's oldest partition.
async fn archive(database: &PostgresFixture) -> Result<u64, EngineError> {
    let partition = database.oldest_partition().await?.unwrap();
    let last = database.event_at(partition.last()).await?.unwrap();
    let archive = ArchivedPartition {
        partition,
        last_hash: last.hash,
        file_name: format!("{}", partition.first_position),
        file_sha256: [7; 32],
    };
    database.archive_oldest(&archive, &["Catalog"]).await
}

async fn events_of(database: &PostgresFixture, stream: StreamId) -> Result<usize, EngineError> {
    Ok(database
        .read_stream(Scope::AllTenants, stream, 0, 100)
        .await?
        .len())
}

fn boundary<T: std::fmt::Debug>(answer: Result<T, EngineError>) -> u64 {
    match answer {
        Err(EngineError::Archived { past_position }) => past_position,
        other => panic!("{other:?}"),
    }
}

/// Creates three partitions: of two streams in the first, one ends there and one continues in the second.
async fn three_partitions() -> (PostgresFixture, StreamId, StreamId) {
    let database = PostgresFixture::with_partitions_of(10).await;
    let ended = stream();
    let goes_on = stream();
    database.write(&[to(ended, 0, 1), to(goes_on, 0, 1)]).await;
    database.fill(10).await;
    let outcome = database.write(&[to(goes_on, 1, 1)]).await;
    assert_eq!(outcome.verdicts, [AppendOutcome::Written]);
    database.fill(20).await;
    (database, ended, goes_on)
}

#[tokio::test]
async fn a_stream_is_in_the_log_whole_or_not_at_all() {
    let (database, ended, goes_on) = three_partitions().await;
    assert_eq!(archive(&database).await.unwrap(), 1);
    assert_eq!(events_of(&database, goes_on).await.unwrap(), 2);
    assert_eq!(boundary(events_of(&database, ended).await), 10);
    assert_eq!(
        events_of(&database, stream()).await.unwrap(),
        0,
        "a new one"
    );
    assert_eq!(database.first_stream_mismatch().await.unwrap(), None);

    assert_eq!(archive(&database).await.unwrap(), 0, "it ended since");
    assert_eq!(boundary(events_of(&database, goes_on).await), 20);
    assert_eq!(database.first_stream_mismatch().await.unwrap(), None);
    assert_eq!(database.archives().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_page_begins_past_the_boundary_or_is_refused() {
    let (database, ended, goes_on) = three_partitions().await;
    archive(&database).await.unwrap();
    let all = LogFilter::default();
    assert_eq!(boundary(database.read_log(0, 100, &all).await), 10);
    assert_eq!(boundary(database.read_log(8, 100, &all).await), 10);
    let page = database.read_log(9, 100, &all).await.unwrap();
    assert_eq!(page.events[0].position, 10);
    let of = |stream_id| LogFilter {
        stream_id: Some(stream_id),
        ..LogFilter::default()
    };
    assert_eq!(boundary(database.read_log(0, 100, &of(ended)).await), 10);
    let page = database.read_log(0, 100, &of(goes_on)).await.unwrap();
    assert_eq!(page.events.len(), 2);
    assert_eq!(boundary(database.event_at(3).await), 10);
    assert!(database.event_at(2).await.unwrap().is_some(), "it is kept");
}

#[tokio::test]
async fn append_after_archiving_is_rejected() {
    let (database, ended, _) = three_partitions().await;
    archive(&database).await.unwrap();
    let head = database.head().await.unwrap();
    assert_eq!(boundary(database.send(&[to(ended, 1, 1)], false).await), 10);
    assert_eq!(database.head().await.unwrap(), head);
    database.fill(1).await;
}

#[tokio::test]
async fn the_first_partition_to_go_is_the_oldest_and_whole() {
    let (database, ..) = three_partitions().await;
    let mut owner = database.owner().await;
    let archive_by_hand = |first: u64, past: u64| {
        format!(
            "SELECT log_archive({first}, {past}, (SELECT hash FROM events WHERE position = {past} - 1), \
             'f', '', '{{}}', 0)"
        )
    };
    for (first, past) in [(10, 20), (0, 20), (0, 9)] {
        let refused = run(&mut owner, &archive_by_hand(first, past)).await;
        assert!(refused.is_err(), "{first} to {past}");
    }
    let behind = "INSERT INTO read.checkpoints VALUES ('policies', 9, '')";
    run(&mut owner, behind).await.unwrap();
    let refused = archive(&database).await.unwrap_err();
    let said = crate::error::error_chain(&refused);
    assert!(said.contains("policies (at 9)"), "{said}");
    run(&mut owner, "UPDATE read.checkpoints SET position = 10")
        .await
        .unwrap();
    archive(&database).await.unwrap();
    for forbidden in [
        "UPDATE archived.events_from_0 SET version = 2",
        "DELETE FROM archived.events_from_0",
        "TRUNCATE archived.events_from_0",
        "DELETE FROM log_archives",
        "DELETE FROM events_kept_to_10",
        "TRUNCATE events_kept_to_10",
    ] {
        assert_eq!(
            sqlstate_of(&mut owner, forbidden).await,
            "23001",
            "{forbidden}"
        );
    }
    let mut server = database.server().await;
    let not_allowed = "SELECT log_archive(10, 20, '', 'f', '', '{}', 0)";
    assert_eq!(sqlstate_of(&mut server, not_allowed).await, "42501");
}
