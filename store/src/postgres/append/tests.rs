mod faults;
mod keys;

use crate::chain::{Digest, GENESIS, Head, link};
use crate::clock::{fresh_id, now_ms};
use crate::engine::Engine as _;
use crate::engine::{EventLog as _, KeyStore as _};
use crate::error::EngineError;
use crate::log::{
    Append, AppendBatch, AppendOutcome, ExpectedVersion, HeldReservation, KnownKeys, LogFilter,
    NewPatientKey, PreparedAppend, Reservation, ReservationKey, WrappedKey,
};
use crate::postgres::Postgres;
use crate::postgres::test_support::{PostgresFixture, TENANT, event, prepare, run, stream, to};

fn claim(key: u8, expires_at_ms: i64) -> Reservation {
    let held = HeldReservation {
        request_hash: [key; 32],
        stream_id: stream(),
        version: 1,
        expires_at_ms,
    };
    Reservation {
        key: ReservationKey([key; 32]),
        held,
    }
}

fn claiming(mut prepared: PreparedAppend, claim: Reservation) -> PreparedAppend {
    prepared.append.claims.push(claim);
    prepared
}

fn assertion(checks: Vec<ExpectedVersion>) -> PreparedAppend {
    prepare(Append {
        checks,
        ..Append::default()
    })
}

fn keyed(patient: u128, key_id: u128) -> PreparedAppend {
    let mut prepared = to(stream(), 0, 1);
    prepared.append.patient_keys.push(NewPatientKey {
        tenant_id: TENANT.into(),
        patient_id: uuid::Uuid::from_u128(patient).into(),
        wrapped: WrappedKey {
            key_id: uuid::Uuid::from_u128(key_id),
            wrapped: vec![9; 60],
        },
    });
    prepared
}

#[tokio::test]
async fn the_database_links_as_the_chain_does() {
    let database = PostgresFixture::create().await;
    let outcome = database
        .write(&[to(stream(), 0, 2), to(stream(), 0, 1)])
        .await;
    assert_eq!(
        outcome.before,
        Head {
            position: 0,
            hash: GENESIS
        }
    );
    let later = database.write(&[to(stream(), 0, 1)]).await;

    let hashes = unbroken(&database, 4).await;
    assert_eq!(
        later.before,
        Head {
            position: 3,
            hash: hashes[2]
        }
    );
    assert_eq!(
        database.head().await.unwrap(),
        Head {
            position: 4,
            hash: hashes[3]
        }
    );
}

/// Checks the chain of a log of `events` events, and returns its chain hashes.
async fn unbroken(database: &PostgresFixture, events: usize) -> Vec<Digest> {
    let page = database
        .read_log(0, 100, &LogFilter::default())
        .await
        .unwrap();
    let mut previous = GENESIS;
    for (n, event) in (1..).zip(&page.events) {
        assert_eq!(event.position, n);
        assert_eq!(
            event.hash,
            link(&previous, n, event.recorded_at_ms, &event.leaf)
        );
        previous = event.hash;
    }
    assert_eq!(page.events.len(), events);
    page.events.iter().map(|event| event.hash).collect()
}

#[tokio::test]
async fn links_follow_actual_head_when_prediction_fails() {
    let database = PostgresFixture::create().await;
    let other_node = Postgres::connect(&database.url()).unwrap();
    let known = to(stream(), 0, 2);
    let elsewhere = to(stream(), 0, 1);
    database.write(std::slice::from_ref(&known)).await;
    let from_elsewhere = AppendBatch {
        appends: vec![&elsewhere],
        resend: false,
    };
    other_node.append(&from_elsewhere).await.unwrap();
    database.write(&[to(stream(), 0, 1)]).await;
    let outcome = database
        .write(&[to(stream(), 0, 1), known, to(stream(), 0, 1)])
        .await;
    assert!(matches!(
        outcome.verdicts[1],
        AppendOutcome::Conflict { .. }
    ));
    database.write(&[to(stream(), 0, 3)]).await;
    unbroken(&database, 9).await;
}

#[tokio::test]
async fn what_is_stored_is_what_was_given() {
    let database = PostgresFixture::create().await;
    let given = to(stream(), 0, 1);
    let outcome = database.write(std::slice::from_ref(&given)).await;
    let stored = database.event_at(1).await.unwrap().unwrap();
    let event = &given.append.events[0];
    assert_eq!(stored.payload, event.payload);
    assert_eq!(stored.sealed, event.sealed);
    assert_eq!(stored.metadata, event.metadata);
    assert_eq!(&*stored.stream_type, event.stream_type);
    assert_eq!(&*stored.event_type, event.event_type);
    assert_eq!(stored.event_id, event.event_id);
    assert_eq!(stored.tenant_id, event.tenant_id);
    assert_eq!(stored.leaf, given.leaves[0]);
    assert_eq!(stored.recorded_at_ms, outcome.recorded_at_ms);
}

#[tokio::test]
async fn a_conflict_leaves_nothing_and_costs_no_position() {
    let database = PostgresFixture::create().await;
    let taken = database.fill(1).await[0];
    let patient = (TENANT.into(), uuid::Uuid::from_u128(1).into());
    let mut loser = keyed(1, 2);
    loser.append.checks.push(ExpectedVersion {
        stream_id: taken,
        expected: 0,
    });
    loser.append.claims.push(claim(1, i64::MAX));

    let outcome = database
        .write(&[to(stream(), 0, 1), loser, to(taken, 1, 2)])
        .await;

    let conflict = AppendOutcome::Conflict {
        stream_id: taken,
        actual: 1,
    };
    assert_eq!(
        outcome.verdicts,
        [AppendOutcome::Written, conflict, AppendOutcome::Written]
    );
    assert_eq!(database.head().await.unwrap().position, 4);
    assert_eq!(
        database
            .reservation(ReservationKey([1; 32]), 0)
            .await
            .unwrap(),
        None
    );
    let known = database.patient_keys(&[patient]).await.unwrap();
    assert_eq!(known, [KnownKeys::default()]);
    assert_eq!(database.first_stream_mismatch().await.unwrap(), None);
}

#[tokio::test]
async fn the_first_failing_check_is_named() {
    let database = PostgresFixture::create().await;
    let there = database.fill(1).await[0];
    let checks = vec![
        ExpectedVersion {
            stream_id: there,
            expected: 1,
        },
        ExpectedVersion {
            stream_id: stream(),
            expected: 5,
        },
        ExpectedVersion {
            stream_id: there,
            expected: 9,
        },
    ];
    let named = AppendOutcome::Conflict {
        stream_id: checks[1].stream_id,
        actual: 0,
    };
    assert_eq!(database.write(&[assertion(checks)]).await.verdicts, [named]);
}

#[tokio::test]
async fn several_appends_assert_one_stream() {
    let database = PostgresFixture::create().await;
    let asserted = ExpectedVersion {
        stream_id: database.fill(1).await[0],
        expected: 1,
    };
    let appends = [(); 2].map(|()| {
        let mut prepared = to(stream(), 0, 1);
        prepared.append.checks.push(asserted);
        prepared
    });
    let outcome = database
        .write(&[&appends[..], &[assertion(vec![asserted])]].concat())
        .await;
    assert_eq!(outcome.verdicts, [AppendOutcome::Written; 3]);
    assert_eq!(database.head().await.unwrap().position, 3);
}

#[tokio::test]
async fn a_taken_claim_says_what_it_holds_until_it_expires() {
    let database = PostgresFixture::create().await;
    let now = now_ms();
    let first = claim(1, now + 600_000);
    let brief = claim(2, now - 1);
    let outcome = database
        .write(&[
            claiming(to(stream(), 0, 1), first),
            claiming(assertion(vec![]), brief),
        ])
        .await;
    assert_eq!(outcome.verdicts, [AppendOutcome::Written; 2]);
    assert_eq!(
        database.reservation(first.key, now).await.unwrap(),
        Some(first.held)
    );
    assert_eq!(database.reservation(brief.key, now).await.unwrap(), None);

    let again = claim(2, now + 600_000);
    let outcome = database
        .write(&[
            claiming(to(stream(), 0, 1), claim(1, i64::MAX)),
            claiming(to(stream(), 0, 1), again),
        ])
        .await;
    assert_eq!(
        outcome.verdicts,
        [
            AppendOutcome::KeyTaken { held: first.held },
            AppendOutcome::Written
        ]
    );
    assert_eq!(
        database.reservation(again.key, now).await.unwrap(),
        Some(again.held)
    );
    assert_eq!(database.head().await.unwrap().position, 2);
}

#[tokio::test]
async fn expired_claims_are_forgotten_some_at_a_time() {
    let database = PostgresFixture::create().await;
    let claims = (1..=5).map(|n| claiming(assertion(vec![]), claim(n, i64::from(n) * 10)));
    let outcome = database.write(&claims.collect::<Vec<_>>()).await;
    assert_eq!(outcome.verdicts, [AppendOutcome::Written; 5]);
    assert_eq!(
        database.delete_expired_reservations(39, 2).await.unwrap(),
        2
    );
    assert_eq!(
        database.delete_expired_reservations(39, 2).await.unwrap(),
        1
    );
    assert_eq!(
        database.delete_expired_reservations(39, 2).await.unwrap(),
        0
    );
    assert!(
        database
            .reservation(ReservationKey([4; 32]), 0)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn weightier_verdicts_win() {
    let database = PostgresFixture::create().await;
    let now = now_ms();
    let taken = claim(1, now + 600_000);
    let first = claiming(keyed(1, 10), taken);
    database.write(std::slice::from_ref(&first)).await;

    let at_odds = |mut prepared: PreparedAppend| {
        prepared.append.checks.push(ExpectedVersion {
            stream_id: stream(),
            expected: 9,
        });
        prepared
    };
    let all = at_odds(claiming(keyed(1, 11), claim(1, 0)));
    let outcome = database.write(&[all]).await;
    assert_eq!(
        outcome.verdicts,
        [AppendOutcome::KeyTaken { held: taken.held }]
    );
    assert_eq!(
        database.write(&[at_odds(keyed(1, 11))]).await.verdicts,
        [AppendOutcome::PatientKeyExists]
    );
    let again = database.send(&[first], true).await.unwrap();
    assert!(
        matches!(
            again.verdicts[0],
            AppendOutcome::AlreadyWritten {
                first_position: 1,
                ..
            }
        ),
        "{again:?}"
    );
}

#[tokio::test]
async fn time_does_not_go_back() {
    let database = PostgresFixture::create().await;
    database.fill(1).await;
    let future = now_ms() + 3_600_000;
    let mut owner = database.owner().await;
    let ahead = format!(
        "ALTER TABLE events DISABLE TRIGGER ALL; ALTER TABLE events_from_0 DISABLE TRIGGER ALL; \
         UPDATE events SET recorded_at = {future}"
    );
    run(&mut owner, &ahead).await.unwrap();
    let outcome = database.write(&[to(stream(), 0, 1)]).await;
    assert_eq!(outcome.recorded_at_ms, future);
}

#[tokio::test]
async fn an_event_that_is_no_json_is_refused_with_its_batch() {
    let database = PostgresFixture::create().await;
    let mut bad = to(stream(), 0, 1);
    bad.append.events[0].payload = "{".to_owned();
    let refused = database.send(&[to(stream(), 0, 1), bad], false).await;
    assert!(
        matches!(refused, Err(EngineError::Rejected(_))),
        "{refused:?}"
    );
    database.fill(1).await;
    assert_eq!(database.head().await.unwrap().position, 1);
}

#[tokio::test]
async fn an_event_without_a_check_is_refused() {
    let database = PostgresFixture::create().await;
    let unchecked = prepare(Append {
        events: vec![event(stream(), 1)],
        ..Append::default()
    });
    let gap = {
        let stream_id = stream();
        let checks = vec![ExpectedVersion {
            stream_id,
            expected: 0,
        }];
        prepare(Append {
            checks,
            events: vec![event(stream_id, 2)],
            ..Append::default()
        })
    };
    for bad in [unchecked, gap] {
        let refused = database.send(&[bad], false).await;
        assert!(
            matches!(refused, Err(EngineError::Rejected(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn nodes_write_one_dense_log() {
    let database = PostgresFixture::create().await;
    let other = Postgres::connect(&database.url()).unwrap();
    let write = async |engine: &Postgres| {
        for _ in 0..20 {
            let appends = [to(stream(), 0, 1), to(fresh_id().into(), 0, 2)];
            let batch = AppendBatch {
                appends: appends.iter().collect(),
                resend: false,
            };
            engine.append(&batch).await.unwrap();
        }
    };
    tokio::join!(write(&database), write(&other));
    let page = database
        .read_log(0, 1000, &LogFilter::default())
        .await
        .unwrap();
    assert!((1..=120).eq(page.events.iter().map(|event| event.position)));
    assert_eq!(database.first_stream_mismatch().await.unwrap(), None);
    other.close().await;
}
