//! Tests of lost responses, lost connections and locks held by others.

use super::{assertion, claim, claiming};
use crate::engine::EventLog as _;
use crate::error::EngineError;
use crate::log::AppendOutcome;
use crate::postgres::test_support::{PostgresFixture, run, stream, to};

#[tokio::test]
async fn a_resend_finds_its_own_and_writes_the_rest() {
    let database = PostgresFixture::with_partitions_of(3).await;
    let sent = [
        to(stream(), 0, 2),
        claiming(to(stream(), 0, 3), claim(1, i64::MAX)),
    ];
    let first = database.write(&sent).await;
    database.fill(4).await;

    let unsent = to(stream(), 0, 1);
    let foreign = to(sent[0].append.checks[0].stream_id, 0, 1);
    let batch = [sent[0].clone(), sent[1].clone(), unsent];
    let outcome = database.send(&batch, true).await.unwrap();

    let already = |first_position| AppendOutcome::AlreadyWritten {
        first_position,
        recorded_at_ms: first.recorded_at_ms,
    };
    assert_eq!(
        outcome.verdicts,
        [already(1), already(3), AppendOutcome::Written]
    );
    assert_eq!(outcome.before.position, 9);
    assert_eq!(database.head().await.unwrap().position, 10);
    let conflict = AppendOutcome::Conflict {
        stream_id: foreign.append.checks[0].stream_id,
        actual: 2,
    };
    assert_eq!(
        database.send(&[foreign], true).await.unwrap().verdicts,
        [conflict]
    );
}

#[tokio::test]
async fn a_resend_without_events_finds_its_claim() {
    let database = PostgresFixture::create().await;
    database.fill(1).await;
    let head = database.event_at(1).await.unwrap().unwrap();
    let sent = claiming(assertion(vec![]), claim(1, i64::MAX));
    let other = claiming(assertion(vec![]), claim(1, i64::MAX));
    assert_eq!(
        database.write(std::slice::from_ref(&sent)).await.verdicts,
        [AppendOutcome::Written]
    );

    let again = database
        .send(std::slice::from_ref(&sent), true)
        .await
        .unwrap();
    let already = AppendOutcome::AlreadyWritten {
        first_position: 1,
        recorded_at_ms: head.recorded_at_ms,
    };
    assert_eq!(again.verdicts, [already]);
    let held = sent.append.claims[0].held;
    assert_eq!(
        database.send(&[other], true).await.unwrap().verdicts,
        [AppendOutcome::KeyTaken { held }]
    );
    assert_eq!(
        database.write(&[sent]).await.verdicts,
        [AppendOutcome::KeyTaken { held }]
    );
}

#[tokio::test]
async fn a_killed_connection_is_broken_once_and_replaced() {
    let database = PostgresFixture::create().await;
    database.fill(1).await;
    let mut owner = database.owner().await;
    run(
        &mut owner,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await
    .unwrap();
    let lost = to(stream(), 0, 1);
    let broken = database.send(std::slice::from_ref(&lost), false).await;
    assert!(
        matches!(broken, Err(EngineError::ConnectionLost(_))),
        "{broken:?}"
    );
    assert_eq!(
        database.send(&[lost], true).await.unwrap().verdicts,
        [AppendOutcome::Written]
    );
}

#[tokio::test]
async fn a_held_lock_means_unavailable() {
    let database = PostgresFixture::create().await;
    database.fill(1).await;
    let mut owner = database.owner().await;
    run(
        &mut owner,
        "SELECT pg_advisory_lock(hashtextextended('roentgen.append', 0))",
    )
    .await
    .unwrap();
    let waiting = database.send(&[to(stream(), 0, 1)], false).await;
    assert!(
        matches!(waiting, Err(EngineError::Unavailable(_))),
        "{waiting:?}"
    );
    run(&mut owner, "SELECT pg_advisory_unlock_all()")
        .await
        .unwrap();
    database.fill(1).await;
}
