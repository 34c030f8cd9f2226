//! Rebuilds of read models while the live tables are read.

use std::sync::Arc;

use roentgen_domain::ids::StreamId;
use roentgen_store::engine::Engine;
use roentgen_store::error::EngineError;
use roentgen_store::generation::{Generation, GenerationState, NewGeneration};
use roentgen_store::read_model::{Checkpoint, ProjectionBatch, Table};
use roentgen_store::readers::Scope;
use roentgen_store::rebuild::{DropOutcome, RebuildService};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::builders::{STREAM_TYPE, event, stream, to};
use crate::fault_injection::FaultyEngine;
use crate::harness::{ContractDatabase, ContractNode, wait_until, whole_log};
use crate::tally_projection::{
    NEXT_TALLY, TALLY, Tally, checkpoint, folded, project, project_as, projected_all, rows,
    rows_of, unfoldable,
};

on_both_engines!(
    takes_the_place_of_the_one_before_while_streams_go_on,
    is_dropped_when_somebody_says_so_and_readers_find_the_other,
    is_given_up_without_a_trace,
    is_moved_by_nobody_who_believes_in_the_one_before,
    goes_on_where_another_node_stopped,
    catches_up_no_longer_than_its_node_goes_on,
    is_filled_in_parts_where_streams_are_large,
    mismatching_generation_never_becomes_live,
    incomplete_generation_never_becomes_live,
    parks_what_cannot_be_folded_and_takes_up_what_can,
    of_two_releases_are_kept_up_side_by_side,
    of_a_new_release_are_not_read_before_they_are_whole,
    long_log_is_backfilled_before_first_read,
);

async fn generation(engine: &dyn Engine, name: &str) -> Option<Generation> {
    let all = engine.generations().await.unwrap();
    all.into_iter().find(|generation| generation.name == name)
}

async fn reaches(engine: &dyn Engine, name: &str, state: GenerationState) {
    let found = async || {
        generation(engine, name)
            .await
            .map(|generation| generation.state)
    };
    wait_until(name, found, |value| value.as_ref() == Some(&state)).await;
}

/// Starts writers that run until they are cancelled.
fn writers(node: &Arc<ContractNode>) -> (CancellationToken, JoinSet<()>) {
    let enough = CancellationToken::new();
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let node = Arc::clone(node);
        let enough = enough.clone();
        writers.spawn(async move {
            let mut own = (stream(), 0);
            while !enough.is_cancelled() {
                if own.1 > 50 {
                    own = (stream(), 0);
                }
                node.append(to(own.0, own.1, 2)).await.unwrap();
                own.1 += 2;
            }
        });
    }
    (enough, writers)
}

/// Compares the rows with the log through a new connection.
async fn assert_rows_are_the_log(bed: &ContractDatabase, node: &ContractNode) {
    projected_all(node).await;
    let log = whole_log(&*node.engine).await;
    let reader = bed.connect().await;
    assert_eq!(rows(&*reader, &log).await, folded(&log));
}

async fn some_streams(node: &ContractNode) -> Vec<StreamId> {
    let streams: Vec<StreamId> = (0..5).map(|_| stream()).collect();
    for id in &streams {
        node.append(to(*id, 0, 1000)).await.unwrap();
    }
    streams
}

/// Returns a projecting node and its rebuild service.
async fn projecting(bed: &ContractDatabase) -> (Arc<ContractNode>, RebuildService) {
    let node = Arc::new(bed.node().await);
    let (rebuilding, _, _) = project_as(&node, "", Tally::SOUND).await;
    (node, rebuilding)
}

async fn takes_the_place_of_the_one_before_while_streams_go_on(bed: &ContractDatabase) {
    let (node, rebuilding) = projecting(bed).await;
    let follower = Arc::new(bed.node().await);
    let (_, progress, _) = project_as(&follower, "", Tally::SOUND).await;
    some_streams(&node).await;
    let (enough, writers) = writers(&node);
    for (made, before) in [("tally_v1_g2", "tally_v1"), ("tally_v1_g3", "tally_v1_g2")] {
        let asked = rebuilding.request("tally").await.unwrap().unwrap();
        assert_eq!(asked.name, made);
        reaches(&*node.engine, made, GenerationState::Live).await;
        reaches(&*node.engine, before, GenerationState::Retired).await;
    }
    enough.cancel();
    writers.join_all().await;
    assert_rows_are_the_log(bed, &node).await;
    let head = node.position().await;
    let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    assert_eq!(progress.wait_for(head, soon).await, head);
    let log = whole_log(&*node.engine).await;
    assert_eq!(
        rows(&*follower.engine, &log).await,
        folded(&log),
        "the follower reads the generation that its progress is of"
    );
    assert_eq!(rebuilding.request("tallies").await.unwrap(), None);
}

async fn is_dropped_when_somebody_says_so_and_readers_find_the_other(bed: &ContractDatabase) {
    let (node, rebuilding) = projecting(bed).await;
    some_streams(&node).await;
    projected_all(&node).await;
    let log = whole_log(&*node.engine).await;
    let reader = bed.connect().await;
    assert_eq!(rows(&*reader, &log).await, folded(&log));
    rebuilding.request("tally").await.unwrap();
    reaches(&*node.engine, "tally_v1_g2", GenerationState::Live).await;
    assert_eq!(rows(&*reader, &log).await, folded(&log), "it is kept");
    let dropped = rebuilding.drop_old("tally").await.unwrap();
    assert_eq!(dropped, [DropOutcome::Dropped("tally_v1".to_owned())]);
    assert_eq!(rows(&*reader, &log).await, folded(&log));
    assert_eq!(rebuilding.drop_old("tally").await.unwrap(), []);
    assert_eq!(generation(&*reader, "tally_v1").await, None);
}

async fn is_given_up_without_a_trace(bed: &ContractDatabase) {
    let gated = FaultyEngine::wrap(bed.connect().await);
    let node = ContractNode::with_engine(Arc::clone(&gated) as _).await;
    let (rebuilding, _, _) = project_as(&node, "", Tally::SOUND).await;
    some_streams(&node).await;
    projected_all(&node).await;
    gated.projections.shut();
    rebuilding.request("tally").await.unwrap();
    gated.projections.wait_for_waiter().await;
    let given_up = rebuilding.cancel("tally").await.unwrap();
    assert_eq!(given_up.as_deref(), Some("tally_v1_g2"));
    gated.projections.open();
    assert_eq!(rebuilding.cancel("tally").await.unwrap(), None);
    assert_eq!(generation(&*node.engine, "tally_v1_g2").await, None);
    node.append(to(stream(), 0, 3)).await.unwrap();
    assert_rows_are_the_log(bed, &node).await;
    rebuilding.request("tally").await.unwrap();
    reaches(&*node.engine, "tally_v1_g2", GenerationState::Live).await;
    assert_rows_are_the_log(bed, &node).await;
}

/// A projector that does not know of the rebuild continues from the retired generation.
async fn is_moved_by_nobody_who_believes_in_the_one_before(bed: &ContractDatabase) {
    let (node, rebuilding) = projecting(bed).await;
    node.append(to(stream(), 0, 2)).await.unwrap();
    projected_all(&node).await;
    rebuilding.request("tally").await.unwrap();
    reaches(&*node.engine, "tally_v1_g2", GenerationState::Live).await;
    let before = generation(&*node.engine, "tally_v1").await.unwrap();
    let retired = Table {
        model: &TALLY,
        generation: 1,
    };
    let batch = ProjectionBatch {
        from: vec![(retired, before.checkpoint)],
        to: Checkpoint {
            position: before.checkpoint.position + 1,
            hash: [7; 32],
        },
        rows: vec![],
        parked: vec![],
        left_out: vec![],
        filling: false,
    };
    assert!(!node.engine.write_projection(&batch).await.unwrap());
    let after = generation(&*node.engine, "tally_v1").await;
    assert_eq!(after, Some(before));
}

async fn goes_on_where_another_node_stopped(bed: &ContractDatabase) {
    let gated = FaultyEngine::wrap(bed.connect().await);
    let one = ContractNode::with_engine(Arc::clone(&gated) as _).await;
    let (rebuilding, _, _) = project_as(&one, "", Tally::SOUND).await;
    let streams = large_streams(&one).await;
    projected_all(&one).await;
    gated.projections.shut();
    rebuilding.request("tally").await.unwrap();
    gated.projections.wait_for_waiter().await;
    gated.projections.let_one_pass();
    gated.projections.wait_for_waiter().await;
    let engine = bed.connect().await;
    let made = generation(&*engine, "tally_v1_g2").await.unwrap();
    assert_eq!(made.state, GenerationState::Filling { upto: 135 });
    assert!(made.checkpoint.position > 0, "{made:?}");
    // The backfill ends at the head of the log at the time of the request; later events are caught up afterwards.
    for id in [streams[0], streams[8], stream()] {
        let expected = if streams.contains(&id) { 15 } else { 0 };
        one.append(to(id, expected, 2)).await.unwrap();
    }
    tokio::join!(one.stop(), async { gated.projections.open() });

    let two = bed.node().await;
    project(&two, "").await;
    reaches(&*two.engine, "tally_v1_g2", GenerationState::Live).await;
    assert_rows_are_the_log(bed, &two).await;
}

async fn catches_up_no_longer_than_its_node_goes_on(bed: &ContractDatabase) {
    let gated = FaultyEngine::wrap(bed.connect().await);
    let one = ContractNode::with_engine(Arc::clone(&gated) as _).await;
    project(&one, "").await;
    large_streams(&one).await;
    projected_all(&one).await;
    gated.projections.shut();
    let asked_for_long_ago = NewGeneration {
        tables: vec![Table {
            model: &TALLY,
            generation: 2,
        }],
        state: GenerationState::Filling { upto: 0 },
    };
    one.engine
        .create_generations(&[asked_for_long_ago])
        .await
        .unwrap();
    gated.projections.wait_for_waiter().await;
    tokio::join!(one.stop(), async { gated.projections.open() });
    let engine = bed.connect().await;
    let made = generation(&*engine, "tally_v1_g2").await.unwrap();
    assert_eq!(made.state, GenerationState::Joining);

    let two = bed.node().await;
    project(&two, "").await;
    reaches(&*two.engine, "tally_v1_g2", GenerationState::Live).await;
    assert_rows_are_the_log(bed, &two).await;
}

/// Appends more than fits in memory at once, in streams that grow long after their first event.
async fn large_streams(node: &ContractNode) -> Vec<StreamId> {
    let streams: Vec<StreamId> = (0..9).map(|_| stream()).collect();
    for round in 0..15 {
        for id in &streams {
            let mut append = to(*id, round, 1);
            append.events[0].payload = format!(r#"{{"long": "{}"}}"#, "x".repeat(200_000));
            node.append(append).await.unwrap();
        }
    }
    streams
}

async fn is_filled_in_parts_where_streams_are_large(bed: &ContractDatabase) {
    let gated = FaultyEngine::wrap(bed.connect().await);
    let node = ContractNode::with_engine(Arc::clone(&gated) as _).await;
    let (rebuilding, _, _) = project_as(&node, "", Tally::SOUND).await;
    large_streams(&node).await;
    projected_all(&node).await;
    let before = gated.moved().len();
    rebuilding.request("tally").await.unwrap();
    reaches(&*node.engine, "tally_v1_g2", GenerationState::Live).await;
    let parts = gated.moved().len() - before;
    assert!(parts >= 3, "{parts}");
    assert_rows_are_the_log(bed, &node).await;
}

async fn mismatching_generation_never_becomes_live(bed: &ContractDatabase) {
    let (node, _) = projecting(bed).await;
    let long = stream();
    for round in 0..5 {
        node.append(to(long, 1000 * round, 1000)).await.unwrap();
    }
    assert_rows_are_the_log(bed, &node).await;
    Arc::into_inner(node).unwrap().stop().await;
    let forgetful = bed.node().await;
    let tally = Tally {
        forgets: true,
        ..Tally::SOUND
    };
    let (rebuilding, _, _) = project_as(&forgetful, "", tally).await;
    rebuilding.request("tally").await.unwrap();
    let reason = format!("row {long} of tally_v1_g2 differs from the fold of its stream");
    reaches(
        &*forgetful.engine,
        "tally_v1_g2",
        GenerationState::Failed { reason },
    )
    .await;
    assert_rows_are_the_log(bed, &forgetful).await;
    let dropped = rebuilding.drop_old("tally").await.unwrap();
    assert_eq!(dropped, [DropOutcome::Dropped("tally_v1_g2".to_owned())]);
}

async fn incomplete_generation_never_becomes_live(bed: &ContractDatabase) {
    let gated = FaultyEngine::wrap(bed.connect().await);
    let node = ContractNode::with_engine(Arc::clone(&gated) as _).await;
    let (rebuilding, _, _) = project_as(&node, "", Tally::SOUND).await;
    let one = stream();
    let other = stream();
    for id in [one, other] {
        node.append(to(id, 0, 2)).await.unwrap();
    }
    projected_all(&node).await;
    gated.hide_stream_start(other);
    rebuilding.request("tally").await.unwrap();
    let reason = format!("log has 1 streams of type {STREAM_TYPE}, stream table has 2");
    reaches(
        &*node.engine,
        "tally_v1_g2",
        GenerationState::Failed { reason },
    )
    .await;
    assert_rows_are_the_log(bed, &node).await;
}

async fn parks_what_cannot_be_folded_and_takes_up_what_can(bed: &ContractDatabase) {
    let (node, rebuilding) = projecting(bed).await;
    let bad = stream();
    let good = stream();
    let mut poisoned = to(bad, 0, 3);
    poisoned.events[1] = unfoldable(event(bad, 2));
    let parked_at = node.append(poisoned).await.unwrap().position - 1;
    node.append(to(good, 0, 2)).await.unwrap();
    projected_all(&node).await;
    rebuilding.request("tally").await.unwrap();
    reaches(&*node.engine, "tally_v1_g2", GenerationState::Live).await;
    let parked = async |table: &str| {
        let parked = node.engine.parked().await.unwrap();
        let mut parked = parked.into_iter().filter(|parked| parked.model == table);
        parked
            .next()
            .map(|parked| (parked.stream_id, parked.position))
    };
    assert_eq!(parked("tally_v1_g2").await, Some((bad, parked_at)));
    node.append(to(bad, 3, 1)).await.unwrap();
    projected_all(&node).await;
    rebuilding.drop_old("tally").await.unwrap();
    assert_eq!(parked("tally_v1").await, None);

    let forgiving = Tally {
        forgives: 2,
        ..Tally::SOUND
    };
    Arc::into_inner(node).unwrap().stop().await;
    let node = bed.node().await;
    let (rebuilding, _, _) = project_as(&node, "", forgiving).await;
    rebuilding.request("tally").await.unwrap();
    reaches(&*node.engine, "tally_v1_g3", GenerationState::Live).await;
    assert_rows_are_the_log(bed, &node).await;
}

async fn of_two_releases_are_kept_up_side_by_side(bed: &ContractDatabase) {
    let (old, _) = projecting(bed).await;
    some_streams(&old).await;
    projected_all(&old).await;
    let new = Arc::new(bed.node().await);
    let next = Tally {
        model: &NEXT_TALLY,
        ..Tally::SOUND
    };
    let (rebuilding, progress, _) = project_as(&new, "", next).await;
    reaches(&*new.engine, "tally_v2", GenerationState::Live).await;
    let (enough, mut all) = writers(&old);
    let (also, others) = writers(&new);
    wait_until(
        "some writing",
        async || new.position().await,
        |number| *number > 5200,
    )
    .await;
    enough.cancel();
    also.cancel();
    while all.join_next().await.is_some() {}
    others.join_all().await;
    assert_rows_are_the_log(bed, &old).await;
    let log = whole_log(&*new.engine).await;
    let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let head = new.position().await;
    assert_eq!(progress.wait_for(head, soon).await, head);
    assert_eq!(rows_of(&*new.engine, &NEXT_TALLY, &log).await, folded(&log));

    let in_use = [DropOutcome::InUse("tally_v1".to_owned())];
    assert_eq!(rebuilding.drop_old("tally").await.unwrap(), in_use);
    Arc::into_inner(old).unwrap().stop().await;
    let gone = [DropOutcome::Dropped("tally_v1".to_owned())];
    assert_eq!(rebuilding.drop_old("tally").await.unwrap(), gone);
}

async fn long_log_is_backfilled_before_first_read(bed: &ContractDatabase) {
    let node = bed.node().await;
    for _ in 0..50 {
        node.append(to(stream(), 0, 2000)).await.unwrap();
    }
    project(&node, "").await;
    let made = generation(&*node.engine, "tally_v1").await.unwrap();
    assert!(made.state.is_building(), "{made:?}");
    assert_rows_are_the_log(bed, &node).await;
}

async fn of_a_new_release_are_not_read_before_they_are_whole(bed: &ContractDatabase) {
    let (old, _) = projecting(bed).await;
    some_streams(&old).await;
    projected_all(&old).await;
    Arc::into_inner(old).unwrap().stop().await;
    let gated = FaultyEngine::wrap(bed.connect().await);
    let node = ContractNode::with_engine(Arc::clone(&gated) as _).await;
    gated.projections.shut();
    let next = Tally {
        model: &NEXT_TALLY,
        ..Tally::SOUND
    };
    project_as(&node, "", next).await;
    gated.projections.wait_for_waiter().await;
    let read = node
        .engine
        .live_rows(Scope::AllTenants, &NEXT_TALLY, &[])
        .await;
    assert!(
        matches!(read, Err(EngineError::ReadModelNotReady("tally"))),
        "{read:?}"
    );
    gated.projections.open();
    reaches(&*node.engine, "tally_v2", GenerationState::Live).await;
    let log = whole_log(&*node.engine).await;
    let whole = async || rows_of(&*node.engine, &NEXT_TALLY, &log).await == folded(&log);
    wait_until("its rows", whole, |flag| *flag).await;
    assert_eq!(
        checkpoint(&*node.engine).await.position,
        5000,
        "the other's"
    );
    let of_before = bed.connect().await;
    assert_eq!(rows(&*of_before, &log).await, folded(&log));
}
