//! The relay's checkpoint.

use roentgen_store::relay_checkpoint::RelayCheckpoint;

use crate::harness::ContractDatabase;

on_both_engines!(
    relay_checkpoint_advances_by_compare_and_set,
    relays_do_not_see_each_other,
);

fn at(position: u64) -> RelayCheckpoint {
    RelayCheckpoint {
        position,
        hash: [u8::try_from(position).unwrap(); 32],
        stream_created_ns: 1_700_000_000_123_456_789,
        first_sequence: 1,
        last_sequence: position + 10,
    }
}

async fn relay_checkpoint_advances_by_compare_and_set(bed: &ContractDatabase) {
    let node = bed.node().await;
    let engine = &node.engine;
    assert_eq!(engine.relay_checkpoint("nats").await.unwrap(), None);
    assert!(
        !engine
            .advance_relay("nats", Some(&at(1)), &at(2))
            .await
            .unwrap()
    );
    assert!(engine.advance_relay("nats", None, &at(0)).await.unwrap());
    assert!(!engine.advance_relay("nats", None, &at(5)).await.unwrap());
    let stood = at(0);
    let elsewhere = [
        RelayCheckpoint {
            position: 1,
            ..stood
        },
        RelayCheckpoint {
            hash: [9; 32],
            ..stood
        },
        RelayCheckpoint {
            stream_created_ns: 1,
            ..stood
        },
        RelayCheckpoint {
            last_sequence: 1,
            ..stood
        },
    ];
    for from in elsewhere {
        let moved = engine.advance_relay("nats", Some(&from), &at(7)).await;
        assert!(!moved.unwrap(), "{from:?}");
    }
    let moved = engine.advance_relay("nats", Some(&stood), &at(7)).await;
    assert!(moved.unwrap());
    assert_eq!(engine.relay_checkpoint("nats").await.unwrap(), Some(at(7)));
}

async fn relays_do_not_see_each_other(bed: &ContractDatabase) {
    let node = bed.node().await;
    let engine = &node.engine;
    assert!(engine.advance_relay("nats", None, &at(1)).await.unwrap());
    assert_eq!(engine.relay_checkpoint("another").await.unwrap(), None);
}
