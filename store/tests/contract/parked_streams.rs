//! Retries of parked streams while the projector runs.

use std::sync::Arc;

use futures_util::future::join_all;
use roentgen_domain::ids::StreamId;
use roentgen_store::engine::Engine;
use roentgen_store::log::Append;
use roentgen_store::projector::{ParkedStreams, RetryOutcome};
use roentgen_store::read_model::ParkedStream;
use roentgen_store::readers::Scope;

use crate::builders::{stream, to};
use crate::fault_injection::FaultyEngine;
use crate::harness::{ContractDatabase, ContractNode, whole_log};
use crate::tally_projection::{TALLY, Tally, folded, project, projected_all, rows, unfoldable};

on_both_engines!(
    stays_parked_where_it_cannot_be_folded_and_is_whole_where_it_can,
    is_parked_from_where_it_is_stuck_now,
    projector_restarts_when_parked_stream_is_released,
    a_retry_that_the_projector_was_faster_than_folds_again,
    is_let_go_once_whoever_asks,
    is_whole_where_it_goes_on_meanwhile,
);

fn forgiving(forgives: u64) -> Tally {
    Tally {
        forgives,
        ..Tally::SOUND
    }
}

/// Returns the retry service of a program that can fold unfoldable events up to this version of a stream.
fn parking(engine: &Arc<dyn Engine>, forgives: u64) -> ParkedStreams {
    ParkedStreams::new(Arc::clone(engine), vec![Arc::new(forgiving(forgives))])
}

/// Returns an append of `count` events to a new stream, of which these versions cannot be folded.
fn poisoned(count: u64, versions: &[u64]) -> (StreamId, Append) {
    let stream = stream();
    let mut append = to(stream, 0, count);
    for event in &mut append.events {
        if versions.contains(&event.version) {
            *event = unfoldable(event.clone());
        }
    }
    (stream, append)
}

/// Checks that every row is the fold of its stream and no stream is parked.
async fn assert_whole(node: &ContractNode) {
    projected_all(node).await;
    let log = whole_log(&*node.engine).await;
    assert_eq!(rows(&*node.engine, &log).await, folded(&log));
    assert_eq!(node.engine.parked().await.unwrap(), []);
}

/// Returns a projecting node behind a gate, and a stream that is parked at version 2.
async fn parked_behind_a_gate(
    bed: &ContractDatabase,
) -> (Arc<FaultyEngine>, ContractNode, StreamId) {
    let gated = FaultyEngine::wrap(bed.connect().await);
    let node = ContractNode::with_engine(Arc::clone(&gated) as _).await;
    project(&node, "leader").await;
    let (bad, append) = poisoned(3, &[2]);
    node.append(append).await.unwrap();
    projected_all(&node).await;
    assert_eq!(node.engine.parked().await.unwrap().len(), 1);
    (gated, node, bad)
}

async fn version_of(node: &ContractNode, stream: StreamId) -> u64 {
    let rows = node
        .engine
        .live_rows(Scope::AllTenants, &TALLY, &[stream.as_uuid()])
        .await;
    rows.unwrap().pop().unwrap().version
}

async fn stays_parked_where_it_cannot_be_folded_and_is_whole_where_it_can(bed: &ContractDatabase) {
    let node = bed.node().await;
    project(&node, "leader").await;
    let (bad, append) = poisoned(3, &[2]);
    let last = node.append(append).await.unwrap().position;
    projected_all(&node).await;
    let parked = ParkedStream {
        model: TALLY.schema_name(),
        stream_id: bad,
        position: last - 1,
        reason: "not of this world".to_owned(),
    };
    let stays = parking(&node.engine, 0).retry("tally", bad).await.unwrap();
    assert_eq!(stays, Some(RetryOutcome::StillParked(parked.clone())));
    assert_eq!(node.engine.parked().await.unwrap(), [parked]);
    node.append(to(bad, 3, 200)).await.unwrap();
    node.append(to(stream(), 0, 1)).await.unwrap();
    projected_all(&node).await;
    assert_eq!(version_of(&node, bad).await, 1, "what comes later waits");

    let mended = parking(&node.engine, 2);
    let retried = mended.retry("tally", bad).await.unwrap();
    assert_eq!(retried, Some(RetryOutcome::Resolved));
    assert_eq!(
        version_of(&node, bad).await,
        203,
        "at once, with what waited"
    );
    assert_whole(&node).await;
    node.append(to(bad, 203, 2)).await.unwrap();
    assert_whole(&node).await;
    for (name, stream) in [("tally", bad), ("tally", stream()), ("tallies", bad)] {
        assert_eq!(mended.retry(name, stream).await.unwrap(), None);
    }
}

async fn is_parked_from_where_it_is_stuck_now(bed: &ContractDatabase) {
    let node = bed.node().await;
    project(&node, "leader").await;
    let (bad, append) = poisoned(5, &[2, 4]);
    let last = node.append(append).await.unwrap().position;
    projected_all(&node).await;
    let further = parking(&node.engine, 2).retry("tally", bad).await.unwrap();
    let Some(RetryOutcome::StillParked(further)) = further else {
        panic!("{further:?}");
    };
    assert_eq!(further.position, last - 1);
    assert_eq!(version_of(&node, bad).await, 3);
    assert_eq!(node.engine.parked().await.unwrap(), [further]);
    let retried = parking(&node.engine, 4).retry("tally", bad).await.unwrap();
    assert_eq!(retried, Some(RetryOutcome::Resolved));
    assert_whole(&node).await;
}

/// The stream is released after the projector folded a batch without it and before that batch is written.
async fn projector_restarts_when_parked_stream_is_released(bed: &ContractDatabase) {
    let (gated, node, bad) = parked_behind_a_gate(bed).await;
    let before = gated.moved().len();
    gated.projections.shut();
    node.append(to(bad, 3, 2)).await.unwrap();
    gated.projections.wait_for_waiter().await;
    let retried = parking(&node.engine, 2).retry("tally", bad).await.unwrap();
    assert_eq!(retried, Some(RetryOutcome::Resolved));
    assert_eq!(version_of(&node, bad).await, 5);
    gated.projections.open();
    node.append(to(bad, 5, 2)).await.unwrap();
    assert_whole(&node).await;
    assert!(
        !gated.moved()[before],
        "a batch went in that had left out what is parked no more"
    );
}

/// The stream grows and the projector passes it after the retry folded it and before the retry is written.
async fn a_retry_that_the_projector_was_faster_than_folds_again(bed: &ContractDatabase) {
    let (gated, node, bad) = parked_behind_a_gate(bed).await;
    gated.retries.shut();
    let parking = parking(&node.engine, 2);
    let meanwhile = async {
        gated.retries.wait_for_waiter().await;
        node.append(to(bad, 3, 2)).await.unwrap();
        projected_all(&node).await;
        gated.retries.open();
    };
    let (retried, ()) = tokio::join!(parking.retry("tally", bad), meanwhile);
    assert_eq!(retried.unwrap(), Some(RetryOutcome::Resolved));
    assert_eq!(version_of(&node, bad).await, 5);
    assert_whole(&node).await;
}

async fn is_let_go_once_whoever_asks(bed: &ContractDatabase) {
    let nodes = [bed.node().await, bed.node().await];
    project(&nodes[0], "leader").await;
    let (bad, append) = poisoned(3, &[2]);
    nodes[1].append(append).await.unwrap();
    projected_all(&nodes[0]).await;
    let parkings: Vec<ParkedStreams> = (0..8).map(|n| parking(&nodes[n % 2].engine, 2)).collect();
    let retried = join_all(parkings.iter().map(|streams| streams.retry("tally", bad))).await;
    let whole = retried.into_iter().map(Result::unwrap);
    let whole: Vec<bool> = whole
        .map(|outcome| outcome == Some(RetryOutcome::Resolved))
        .collect();
    assert!(whole.contains(&true), "{whole:?}");
    nodes[1].append(to(bad, 3, 1)).await.unwrap();
    assert_whole(&nodes[0]).await;
}

/// Writers on the node that does not project extend streams that are parked and released in turn.
async fn is_whole_where_it_goes_on_meanwhile(bed: &ContractDatabase) {
    let leads = bed.node().await;
    let writes = Arc::new(bed.node().await);
    project(&leads, "leader").await;
    let mut bad = Vec::new();
    for _ in 0..4 {
        let (stream, append) = poisoned(3, &[2]);
        writes.append(append).await.unwrap();
        bad.push(stream);
    }
    projected_all(&leads).await;
    let mut writers = tokio::task::JoinSet::new();
    for stream in bad.clone() {
        let node = Arc::clone(&writes);
        writers.spawn(async move {
            for version in 3..103 {
                node.append(to(stream, version, 1)).await.unwrap();
            }
        });
    }
    let parking = parking(&writes.engine, 2);
    for stream in bad {
        let retried = parking.retry("tally", stream).await.unwrap();
        assert_eq!(retried, Some(RetryOutcome::Resolved));
    }
    writers.join_all().await;
    assert_whole(&leads).await;
}
