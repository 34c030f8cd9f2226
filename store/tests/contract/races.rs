//! Concurrent writers of one version.

use std::sync::Arc;

use futures_util::future::join_all;
use roentgen_domain::ids::{EventId, StreamId};
use roentgen_store::error::StoreError;
use roentgen_store::log::{Append, AppendReceipt};
use roentgen_store::readers::Scope;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::builders::{claim, key, key_of, patient, stream, to};
use crate::fault_injection::FaultyEngine;
use crate::harness::{ContractDatabase, ContractNode, verified_log};

on_both_engines!(
    exactly_one_of_many_appends_to_one_version_wins,
    a_lost_race_leaves_no_trace_and_costs_no_position,
    losers_in_one_call_with_winners_leave_no_trace_either,
    appends_queued_in_order_come_out_in_order,
    an_acknowledged_append_stands_once_where_it_was_told,
);

const WRITERS: usize = 32;

/// Sends the appends concurrently, from these nodes in turn. Returns each event id with its result.
async fn race(
    nodes: &[Arc<ContractNode>],
    stream_id: StreamId,
    expected: u64,
) -> Vec<(EventId, Result<AppendReceipt, StoreError>)> {
    let start = Arc::new(Barrier::new(WRITERS));
    let mut writers = JoinSet::new();
    for n in 0..WRITERS {
        let node = Arc::clone(&nodes[n % nodes.len()]);
        let start = Arc::clone(&start);
        writers.spawn(async move {
            let append = to(stream_id, expected, 1);
            let id = append.events[0].event_id;
            start.wait().await;
            (id, node.append(append).await)
        });
    }
    writers.join_all().await
}

/// A writer that loses a version continues from the next: five consecutive versions are contended, on one node and on
/// two, the first of them on a stream that does not exist yet.
async fn exactly_one_of_many_appends_to_one_version_wins(bed: &ContractDatabase) {
    let one = Arc::new(bed.node().await);
    let two = Arc::new(bed.node().await);
    for nodes in [vec![Arc::clone(&one)], vec![one, Arc::clone(&two)]] {
        let stream_id = stream();
        for expected in 0..5 {
            let answers = race(&nodes, stream_id, expected).await;
            let (won, lost): (Vec<_>, Vec<_>) =
                answers.into_iter().partition(|pair| pair.1.is_ok());
            assert_eq!(
                won.len(),
                1,
                "version {} on {} nodes",
                expected + 1,
                nodes.len()
            );
            for (_, refused) in lost {
                let conflict = StoreError::Conflict {
                    stream_id,
                    actual: expected + 1,
                };
                assert_eq!(
                    format!("{refused:?}"),
                    format!("{:?}", Err::<(), _>(conflict))
                );
            }
            let stands = two
                .engine
                .read_stream(Scope::AllTenants, stream_id, expected, 10)
                .await
                .unwrap();
            assert_eq!(
                stands
                    .iter()
                    .map(|event| event.event_id)
                    .collect::<Vec<_>>(),
                [won[0].0]
            );
        }
    }
    assert_eq!(verified_log(&*two.engine).await.len(), 10);
}

/// Returns an append to other streams, with a reservation, and two events to a stream at another version.
fn losing_append(fought_for: StreamId, expected: u64) -> Append {
    let mut loser = to(stream(), 0, 3);
    let late = to(fought_for, expected, 2);
    loser.checks.extend(late.checks);
    loser.events.extend(late.events);
    loser.claims = vec![claim(key(), fought_for)];
    loser
}

/// The losing append carries everything that an append can, except a patient key: SQLite stores keys first, in a
/// separate file (see `atomicity`).
async fn a_lost_race_leaves_no_trace_and_costs_no_position(bed: &ContractDatabase) {
    let one = bed.node().await;
    let two = bed.node().await;
    let fought_for = stream();
    let start = Append {
        patient_keys: vec![key_of(patient())],
        claims: vec![claim(key(), fought_for)],
        ..to(fought_for, 0, 2)
    };
    one.append(start).await.unwrap();
    let before = bed.contents().await;
    for (node, expected) in [(&one, 0), (&two, 1), (&two, 3), (&one, 9)] {
        let refused = node.append(losing_append(fought_for, expected)).await;
        assert!(
            matches!(refused, Err(StoreError::Conflict { stream_id, actual: 2 }) if stream_id == fought_for),
            "{refused:?}"
        );
    }
    assert_eq!(bed.contents().await, before);
    assert_eq!(two.append(to(fought_for, 2, 1)).await.unwrap().position, 3);
    assert_eq!(one.append(to(stream(), 0, 1)).await.unwrap().position, 4);
    verified_log(&*one.engine).await;
}

/// One call decides all of the appends and writes some of them.
async fn losers_in_one_call_with_winners_leave_no_trace_either(bed: &ContractDatabase) {
    let faulty = FaultyEngine::wrap(bed.connect().await);
    let node = ContractNode::with_engine(Arc::clone(&faulty) as _).await;
    let elsewhere = [stream(), stream()];
    for stream_id in elsewhere {
        node.append(to(stream_id, 0, 2)).await.unwrap();
    }
    let before = bed.contents().await;
    let mut winner = to(stream(), 0, 1);
    winner.claims = vec![claim(key(), stream())];
    let early = losing_append(elsewhere[0], 5);
    let late = losing_append(elsewhere[1], 1);
    let appends = [early, winner, late, to(stream(), 0, 2)];
    let answers = faulty.append_in_one_batch(&node, &appends, None).await;
    let told: Vec<_> = answers
        .iter()
        .map(|result| result.as_ref().ok().map(|receipt| receipt.position))
        .collect();
    assert_eq!(told, [None, Some(6), None, Some(8)]);
    let after = bed.contents().await;
    // One event and one stream more: those of the append that the others waited behind.
    assert_eq!(after.events.len(), before.events.len() + 4);
    assert_eq!(after.streams.len(), before.streams.len() + 3);
    assert!(
        before
            .streams
            .iter()
            .all(|stream| after.streams.contains(stream))
    );
    assert_eq!(after.claims.len(), 1);
    verified_log(&*node.engine).await;
}

/// No writer waits for a response before its next append: the appender alone preserves the order, with other streams in
/// between.
async fn appends_queued_in_order_come_out_in_order(bed: &ContractDatabase) {
    const VERSIONS: u64 = 60;
    let node = bed.node().await;
    let streams = [stream(), stream(), stream()];
    let queued = (0..VERSIONS).flat_map(|at| streams.map(|id| node.append(to(id, at, 1))));
    let answers = join_all(queued).await;
    let positions: Vec<u64> = answers
        .into_iter()
        .map(|result| result.unwrap().position)
        .collect();
    for (n, stream_id) in streams.into_iter().enumerate() {
        let told: Vec<u64> = positions.iter().skip(n).step_by(3).copied().collect();
        let stands = node
            .engine
            .read_stream(Scope::AllTenants, stream_id, 0, 1000)
            .await
            .unwrap();
        assert!((1..=VERSIONS).eq(stands.iter().map(|event| event.version)));
        assert_eq!(
            stands
                .iter()
                .map(|event| event.position)
                .collect::<Vec<_>>(),
            told
        );
    }
    verified_log(&*node.engine).await;
}

/// On two nodes, with some losing appends, the log contains exactly what was acknowledged.
async fn an_acknowledged_append_stands_once_where_it_was_told(bed: &ContractDatabase) {
    let nodes = [Arc::new(bed.node().await), Arc::new(bed.node().await)];
    let shared = stream();
    let mut writers = JoinSet::new();
    for n in 0..8_u64 {
        let node = Arc::clone(&nodes[usize::try_from(n).unwrap() % 2]);
        writers.spawn(async move {
            let own = stream();
            let mut at = 0;
            let mut told = Vec::new();
            for round in 0..10 {
                let append = if round % 3 == 2 {
                    to(shared, round / 3, 1)
                } else {
                    let count = n % 3 + 1;
                    at += count;
                    to(own, at - count, count)
                };
                match node.append(append.clone()).await {
                    Ok(appended) => told.push((append, appended)),
                    Err(StoreError::Conflict { stream_id, .. }) if stream_id == shared => {}
                    Err(error) => panic!("{error}"),
                }
            }
            told
        });
    }
    let told: Vec<(Append, AppendReceipt)> =
        writers.join_all().await.into_iter().flatten().collect();
    let log = verified_log(&*nodes[0].engine).await;
    assert_eq!(
        log.len(),
        told.iter().map(|pair| pair.0.events.len()).sum::<usize>()
    );
    for (append, appended) in told {
        let first = appended.position + 1 - append.events.len() as u64;
        for (position, event) in (first..).zip(&append.events) {
            let stands = &log[usize::try_from(position).unwrap() - 1];
            assert_eq!(stands.event_id, event.event_id);
            assert_eq!(
                (stands.stream_id, stands.version),
                (event.stream_id, event.version)
            );
            assert_eq!(stands.payload, event.payload);
            assert_eq!(stands.recorded_at(), appended.recorded_at);
        }
    }
}
