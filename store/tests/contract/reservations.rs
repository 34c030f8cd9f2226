//! Reservations of unique keys.

use roentgen_store::clock::now_ms;
use roentgen_store::error::StoreError;
use roentgen_store::log::{Append, HeldReservation, Reservation, ReservationKey};
use roentgen_store::readers::Scope;

use crate::builders::{held_by, key, stream, to};
use crate::harness::{ContractDatabase, verified_log, wait_until};

on_both_engines!(
    one_of_two_nodes_takes_a_key_and_the_other_is_told_its_answer,
    a_key_that_ran_out_is_free_and_a_forgotten_one_too,
    a_node_sweeps_the_keys_that_ran_out,
);

fn claiming(key: ReservationKey, held: HeldReservation) -> Append {
    Append {
        claims: vec![Reservation { key, held }],
        ..to(held.stream_id, 0, 1)
    }
}

async fn one_of_two_nodes_takes_a_key_and_the_other_is_told_its_answer(bed: &ContractDatabase) {
    let one = bed.node().await;
    let two = bed.node().await;
    for n in 0..10 {
        let key = key();
        let mine = HeldReservation {
            request_hash: [1; 32],
            version: n + 1,
            ..held_by(stream())
        };
        let yours = HeldReservation {
            request_hash: [2; 32],
            ..held_by(stream())
        };
        let answers = tokio::join!(
            one.append(claiming(key, mine)),
            two.append(claiming(key, yours))
        );
        let (winner, loser, told) = match answers {
            (Ok(_), Err(StoreError::KeyTaken(told))) => (mine, yours, told),
            (Err(StoreError::KeyTaken(told)), Ok(_)) => (yours, mine, told),
            neither => panic!("{neither:?}"),
        };
        assert_eq!(told, winner);
        assert_eq!(
            one.engine.reservation(key, now_ms()).await.unwrap(),
            Some(winner)
        );
        assert_eq!(
            two.engine
                .read_stream(Scope::AllTenants, loser.stream_id, 0, 1)
                .await
                .unwrap(),
            []
        );
    }
    assert_eq!(verified_log(&*one.engine).await.len(), 10);
}

/// Time is an argument of reservations and lookups, so the test does not have to wait.
async fn a_key_that_ran_out_is_free_and_a_forgotten_one_too(bed: &ContractDatabase) {
    let node = bed.node().await;
    let key = key();
    let now = now_ms();
    let ran_out = HeldReservation {
        expires_at_ms: now - 1,
        ..held_by(stream())
    };
    node.append(claiming(key, ran_out)).await.unwrap();
    assert_eq!(node.engine.reservation(key, now - 1).await.unwrap(), None);

    let next = held_by(stream());
    node.append(claiming(key, next)).await.unwrap();
    assert_eq!(node.engine.reservation(key, now).await.unwrap(), Some(next));
    let refused = node.append(claiming(key, held_by(stream()))).await;
    assert!(
        matches!(refused, Err(StoreError::KeyTaken(held)) if held == next),
        "{refused:?}"
    );

    assert_eq!(
        node.engine
            .delete_expired_reservations(now, 10)
            .await
            .unwrap(),
        0
    );
    let later = next.expires_at_ms + 1;
    assert_eq!(
        node.engine
            .delete_expired_reservations(later, 10)
            .await
            .unwrap(),
        1
    );
    node.append(claiming(key, held_by(stream()))).await.unwrap();
    verified_log(&*node.engine).await;
}

async fn a_node_sweeps_the_keys_that_ran_out(bed: &ContractDatabase) {
    let one = bed.node().await;
    let gone = key();
    let stays = key();
    let ran_out = HeldReservation {
        expires_at_ms: now_ms() - 1,
        ..held_by(stream())
    };
    one.append(claiming(gone, ran_out)).await.unwrap();
    one.append(claiming(stays, held_by(stream())))
        .await
        .unwrap();

    let _sweeps_when_it_starts = bed.node().await;
    let row = async || one.engine.reservation(gone, 0).await.unwrap();
    wait_until("the key's row is gone", row, Option::is_none).await;
    assert!(one.engine.reservation(stays, 0).await.unwrap().is_some());
}
