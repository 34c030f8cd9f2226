use super::*;
use crate::chain::{GENESIS, Head, link};
use crate::engine::{EventLog as _, KeyStore as _};
use crate::log::{AppendOutcome, LogFilter, NewPatientKey, WrappedKey};
use crate::readers::Scope;
use roentgen_domain::ids::PatientId;

fn patient_key(patient: u128, key_id: u128) -> NewPatientKey {
    let wrapped = WrappedKey {
        key_id: Uuid::from_u128(key_id),
        wrapped: vec![7; 60],
    };
    let patient_id = PatientId::from(Uuid::from_u128(patient));
    NewPatientKey {
        tenant_id: tenant(),
        patient_id,
        wrapped,
    }
}

fn sealing(append: Append, key: NewPatientKey) -> Append {
    Append {
        patient_keys: vec![key],
        ..append
    }
}

fn claiming(append: Append, claims: Vec<Reservation>) -> Append {
    Append { claims, ..append }
}

fn conflict(stream_id: StreamId, actual: u64) -> AppendOutcome {
    AppendOutcome::Conflict { stream_id, actual }
}

mod successful_append {
    use super::*;

    #[tokio::test]
    async fn new_and_existing_streams_move_on() {
        let bed = SqliteFixture::new().await;
        let first = bed
            .send(&[creating(stream(1), 2), creating(stream(2), 1)])
            .await;
        assert_eq!(first.verdicts, [AppendOutcome::Written; 2]);
        assert_eq!(
            first.before,
            Head {
                position: 0,
                hash: GENESIS
            }
        );

        let second = bed
            .send(&[writing(&[(stream(1), 2), (stream(2), 1), (stream(3), 0)])])
            .await;
        assert_eq!(second.verdicts, [AppendOutcome::Written]);
        assert_eq!(second.before.position, 3);
        assert_eq!(bed.head().await, 6);
        let versions = bed
            .engine
            .read_stream(Scope::AllTenants, stream(1), 0, 10)
            .await
            .unwrap();
        let places: Vec<_> = versions
            .iter()
            .map(|event| (event.version, event.position))
            .collect();
        assert_eq!(places, [(1, 1), (2, 2), (3, 4)]);
        assert_eq!(bed.engine.first_stream_mismatch().await.unwrap(), None);
    }

    #[tokio::test]
    async fn every_event_comes_back_as_it_went_in_and_chained() {
        let bed = SqliteFixture::new().await;
        let append = creating(stream(1), 3);
        let leaves = prepared(&append).leaves;
        let outcome = bed.send(std::slice::from_ref(&append)).await;
        let stored = bed
            .engine
            .read_stream(Scope::AllTenants, stream(1), 0, 10)
            .await
            .unwrap();
        let mut last = GENESIS;
        for ((sent, leaf), stored) in append.events.iter().zip(leaves).zip(&stored) {
            assert_eq!(stored.payload, sent.payload);
            assert_eq!(stored.sealed, sent.sealed);
            assert_eq!(stored.metadata, sent.metadata);
            assert_eq!(stored.event_id, sent.event_id);
            assert_eq!(stored.tenant_id, sent.tenant_id);
            assert_eq!(&*stored.stream_type, sent.stream_type);
            assert_eq!(&*stored.event_type, sent.event_type);
            assert_eq!(stored.recorded_at_ms, outcome.recorded_at_ms);
            assert_eq!(stored.leaf, leaf);
            last = link(&last, stored.position, stored.recorded_at_ms, &leaf);
            assert_eq!(stored.hash, last);
        }
        assert_eq!(stored.len(), 3);
        assert_eq!(bed.engine.head().await.unwrap().hash, last);
    }

    /// Every size of the inserts, with unused rows, and more rows than one statement takes.
    #[tokio::test]
    async fn batches_of_every_size_are_whole() {
        let bed = SqliteFixture::new().await;
        let mut streams = 0_u128;
        let mut events = 0;
        for size in [1, 2, 4, 5, 64, 65, 255, 256, 257, 600] {
            let appends: Vec<Append> = (0..size)
                .map(|n| creating(stream(streams + n), 1))
                .collect();
            let outcome = bed.send(&appends).await;
            assert!(
                outcome
                    .verdicts
                    .iter()
                    .all(|outcome| *outcome == AppendOutcome::Written),
                "{size}"
            );
            streams += size;
            events += appends.len() as u64;
            assert_eq!(bed.head().await, events, "{size}");
        }
        assert_eq!(bed.engine.first_stream_mismatch().await.unwrap(), None);
        let page = bed
            .engine
            .read_log(0, 5_000, &LogFilter::default())
            .await
            .unwrap();
        assert!(
            page.events
                .windows(2)
                .all(|event| event[1].position == event[0].position + 1)
        );
    }

    #[tokio::test]
    async fn recorded_at_never_goes_back() {
        let bed = SqliteFixture::new().await;
        bed.send(&[creating(stream(1), 1)]).await;
        let ahead = in_an_hour();
        bed.tamper(&format!(
            "DROP TRIGGER events_are_never_updated; UPDATE events SET recorded_at = {ahead}"
        ))
        .await
        .unwrap();
        let outcome = bed.send(&[creating(stream(2), 1)]).await;
        assert_eq!(outcome.recorded_at_ms, ahead);
        assert_eq!(
            bed.engine
                .event_at(2)
                .await
                .unwrap()
                .unwrap()
                .recorded_at_ms,
            ahead
        );
    }

    #[tokio::test]
    async fn racing_writers_leave_a_dense_log() {
        let bed = SqliteFixture::new().await;
        let sends = (0..32_u128).map(|n| {
            let bed = &bed;
            async move { bed.send(&[creating(stream(n), 3)]).await }
        });
        futures_util::future::join_all(sends).await;
        assert_eq!(bed.head().await, 96);
        assert_eq!(bed.engine.first_stream_mismatch().await.unwrap(), None);
    }
}

mod version_conflict {
    use super::*;

    #[tokio::test]
    async fn nothing_is_written_and_no_position_spent() {
        let bed = SqliteFixture::new().await;
        bed.send(&[creating(stream(1), 2)]).await;
        let lost = writing(&[(stream(2), 0), (stream(1), 1)]);
        let lost = claiming(lost, vec![claim(1, in_an_hour())]);
        let outcome = bed
            .send(&[creating(stream(3), 1), lost, creating(stream(4), 1)])
            .await;
        assert_eq!(
            outcome.verdicts,
            [
                AppendOutcome::Written,
                conflict(stream(1), 2),
                AppendOutcome::Written
            ]
        );
        assert_eq!(bed.head().await, 4);
        assert_eq!(
            bed.engine.event_at(4).await.unwrap().unwrap().stream_id,
            stream(4)
        );
        assert!(
            bed.engine
                .read_stream(Scope::AllTenants, stream(2), 0, 1)
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            bed.engine
                .reservation(ReservationKey([1; 32]), 0)
                .await
                .unwrap(),
            None
        );
        assert_eq!(bed.engine.first_stream_mismatch().await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_first_failing_check_is_named() {
        let bed = SqliteFixture::new().await;
        bed.send(&[creating(stream(1), 2)]).await;
        let checks = vec![
            check(stream(1), 2),
            check(stream(2), 5),
            check(stream(1), 9),
        ];
        let outcome = bed
            .send(&[Append {
                checks,
                ..Append::default()
            }])
            .await;
        assert_eq!(outcome.verdicts, [conflict(stream(2), 0)]);
    }

    #[tokio::test]
    async fn assertions_hold_and_fail_each_by_itself() {
        let bed = SqliteFixture::new().await;
        bed.send(&[creating(stream(1), 1)]).await;
        let asserting = |expected, written| {
            let mut append = creating(stream(written), 1);
            append.checks.push(check(stream(1), expected));
            append
        };
        let outcome = bed
            .send(&[asserting(1, 2), asserting(3, 3), asserting(1, 4)])
            .await;
        assert_eq!(
            outcome.verdicts,
            [
                AppendOutcome::Written,
                conflict(stream(1), 1),
                AppendOutcome::Written
            ]
        );
    }
}

mod reservation_taken {
    use super::*;

    #[tokio::test]
    async fn the_next_is_told_what_it_says() {
        let bed = SqliteFixture::new().await;
        let first = claim(1, in_an_hour());
        bed.send(&[claiming(creating(stream(1), 1), vec![first])])
            .await;
        assert_eq!(
            bed.engine
                .reservation(first.key, clock::now_ms())
                .await
                .unwrap(),
            Some(first.held)
        );

        let mut second = first;
        second.held.request_hash = [9; 32];
        let outcome = bed
            .send(&[claiming(creating(stream(2), 1), vec![second])])
            .await;
        assert_eq!(
            outcome.verdicts,
            [AppendOutcome::KeyTaken { held: first.held }]
        );
        assert_eq!(bed.head().await, 1);
    }

    #[tokio::test]
    async fn it_is_told_before_a_conflict_or_a_key() {
        let bed = SqliteFixture::new().await;
        let key = claim(1, in_an_hour());
        let first = sealing(creating(stream(1), 1), patient_key(1, 1));
        bed.send(&[claiming(first, vec![key])]).await;
        let again = sealing(creating(stream(1), 1), patient_key(1, 2));
        let outcome = bed.send(&[claiming(again, vec![key])]).await;
        assert_eq!(
            outcome.verdicts,
            [AppendOutcome::KeyTaken { held: key.held }]
        );
    }

    #[tokio::test]
    async fn one_that_ran_out_is_taken_over() {
        let bed = SqliteFixture::new().await;
        let old = claim(1, clock::now_ms() - 1);
        let new = claim(1, in_an_hour());
        bed.send(&[claiming(creating(stream(1), 1), vec![old])])
            .await;
        assert_eq!(
            bed.engine
                .reservation(old.key, clock::now_ms())
                .await
                .unwrap(),
            None
        );
        let outcome = bed
            .send(&[claiming(creating(stream(2), 1), vec![new])])
            .await;
        assert_eq!(outcome.verdicts, [AppendOutcome::Written]);
        assert_eq!(
            bed.engine
                .reservation(new.key, clock::now_ms())
                .await
                .unwrap(),
            Some(new.held)
        );
    }

    #[tokio::test]
    async fn it_needs_no_events() {
        let bed = SqliteFixture::new().await;
        let alone = claiming(Append::default(), vec![claim(1, in_an_hour())]);
        assert_eq!(
            bed.send(std::slice::from_ref(&alone)).await.verdicts,
            [AppendOutcome::Written]
        );
        let again = bed.send(std::slice::from_ref(&alone)).await;
        assert!(matches!(
            again.verdicts[..],
            [AppendOutcome::KeyTaken { .. }]
        ));
    }

    #[tokio::test]
    async fn the_sweep_forgets_what_ran_out_and_no_more_than_asked() {
        let bed = SqliteFixture::new().await;
        let claims = vec![
            claim(1, 10),
            claim(2, 20),
            claim(3, 30),
            claim(4, in_an_hour()),
        ];
        bed.send(&[claiming(Append::default(), claims)]).await;
        assert_eq!(
            bed.engine.delete_expired_reservations(25, 1).await.unwrap(),
            1
        );
        assert_eq!(
            bed.engine
                .reservation(ReservationKey([1; 32]), 0)
                .await
                .unwrap(),
            None
        );
        assert_eq!(
            bed.engine
                .delete_expired_reservations(25, 100)
                .await
                .unwrap(),
            1
        );
        assert!(
            bed.engine
                .reservation(ReservationKey([3; 32]), 0)
                .await
                .unwrap()
                .is_some()
        );
        assert_eq!(
            bed.engine
                .delete_expired_reservations(25, 100)
                .await
                .unwrap(),
            0
        );
    }
}

mod new_patient_key {
    use super::*;

    #[tokio::test]
    async fn the_key_stands_with_the_event() {
        let bed = SqliteFixture::new().await;
        let key = patient_key(1, 11);
        bed.send(&[sealing(creating(stream(1), 1), key.clone())])
            .await;
        let unknown = PatientId::from(Uuid::from_u128(99));
        let asked = [
            (tenant(), unknown),
            (tenant(), key.patient_id),
            (tenant(), key.patient_id),
        ];
        let found = bed.engine.patient_keys(&asked).await.unwrap();
        let keys: Vec<_> = found.into_iter().map(|known| known.key).collect();
        assert_eq!(keys, [None, Some(key.wrapped.clone()), Some(key.wrapped)]);
    }

    #[tokio::test]
    async fn a_second_key_is_refused_and_the_first_stays() {
        let bed = SqliteFixture::new().await;
        bed.send(&[sealing(creating(stream(1), 1), patient_key(1, 11))])
            .await;
        let second = sealing(creating(stream(2), 1), patient_key(1, 22));
        let outcome = bed.send(&[second, creating(stream(3), 1)]).await;
        assert_eq!(
            outcome.verdicts,
            [AppendOutcome::PatientKeyExists, AppendOutcome::Written]
        );
        let asked = [(tenant(), PatientId::from(Uuid::from_u128(1)))];
        let found = bed.engine.patient_keys(&asked).await.unwrap();
        assert_eq!(found[0].key.as_ref().unwrap().key_id, Uuid::from_u128(11));
    }

    #[tokio::test]
    async fn the_very_same_key_is_ours() {
        let bed = SqliteFixture::new().await;
        let lost = sealing(writing(&[(stream(1), 5)]), patient_key(1, 11));
        assert_eq!(bed.send(&[lost]).await.verdicts, [conflict(stream(1), 0)]);
        let next = sealing(creating(stream(1), 1), patient_key(1, 11));
        assert_eq!(bed.send(&[next]).await.verdicts, [AppendOutcome::Written]);
    }

    #[tokio::test]
    async fn it_is_told_before_a_conflict() {
        let bed = SqliteFixture::new().await;
        bed.send(&[sealing(creating(stream(1), 1), patient_key(1, 11))])
            .await;
        let second = sealing(creating(stream(1), 1), patient_key(1, 22));
        assert_eq!(
            bed.send(&[second]).await.verdicts,
            [AppendOutcome::PatientKeyExists]
        );
    }
}

mod resend {
    use super::*;

    #[tokio::test]
    async fn what_stands_is_already_written_and_the_rest_is_written() {
        let bed = SqliteFixture::new().await;
        bed.send(&[creating(stream(9), 4)]).await;
        let sent = claiming(creating(stream(1), 2), vec![claim(1, in_an_hour())]);
        let sent = sealing(sent, patient_key(1, 11));
        let first = bed.send(std::slice::from_ref(&sent)).await;
        let again = bed.send_again(&[sent, creating(stream(2), 1)]).await;
        let standing = AppendOutcome::AlreadyWritten {
            first_position: 5,
            recorded_at_ms: first.recorded_at_ms,
        };
        assert_eq!(again.verdicts, [standing, AppendOutcome::Written]);
        assert_eq!(bed.head().await, 7);
    }

    #[tokio::test]
    async fn another_event_at_that_version_is_a_conflict() {
        let bed = SqliteFixture::new().await;
        bed.send(&[creating(stream(1), 1)]).await;
        let other = bed.send_again(&[creating(stream(1), 1)]).await;
        assert_eq!(other.verdicts, [conflict(stream(1), 1)]);
    }

    #[tokio::test]
    async fn without_saying_so_it_is_a_conflict() {
        let bed = SqliteFixture::new().await;
        let sent = creating(stream(1), 1);
        bed.send(std::slice::from_ref(&sent)).await;
        assert_eq!(bed.send(&[sent]).await.verdicts, [conflict(stream(1), 1)]);
    }

    #[tokio::test]
    async fn claims_alone_know_themselves() {
        let bed = SqliteFixture::new().await;
        let ours = claiming(Append::default(), vec![claim(1, in_an_hour())]);
        bed.send(std::slice::from_ref(&ours)).await;
        assert_eq!(
            bed.send_again(&[ours]).await.verdicts,
            [AppendOutcome::Written]
        );
        let others = claiming(Append::default(), vec![claim(1, in_an_hour() + 1)]);
        let outcome = bed.send_again(&[others]).await;
        assert!(matches!(
            outcome.verdicts[..],
            [AppendOutcome::KeyTaken { .. }]
        ));
    }
}

mod database_error {
    use super::*;

    #[tokio::test]
    async fn nothing_of_the_batch_is_left_and_the_next_goes_through() {
        let bed = SqliteFixture::new().await;
        let mut twice = creating(stream(1), 2);
        twice.events[1].version = 1;
        let refused = bed.try_send(&[creating(stream(2), 1), twice], false).await;
        assert!(
            matches!(refused, Err(EngineError::Rejected(_))),
            "{refused:?}"
        );
        assert_eq!(bed.head().await, 0);
        assert_eq!(
            bed.send(&[creating(stream(2), 1)]).await.verdicts,
            [AppendOutcome::Written]
        );
    }

    #[tokio::test]
    async fn a_dropped_call_leaves_nothing_half_done() {
        let bed = SqliteFixture::new().await;
        for n in 0..40_u128 {
            let appends = [creating(stream(n), 1)];
            let mut call = Box::pin(bed.send(&appends));
            for _ in 0..n {
                tokio::select! { biased; _ = &mut call => break, () = tokio::task::yield_now() => {} }
            }
        }
        bed.send(&[creating(stream(1_000), 1)]).await;
        assert_eq!(bed.engine.first_stream_mismatch().await.unwrap(), None);
        let page = bed
            .engine
            .read_log(0, 100, &LogFilter::default())
            .await
            .unwrap();
        let streams = tally(page.events.iter().map(|event| event.stream_id));
        assert!(streams.values().all(|count| *count == 1));
    }
}
