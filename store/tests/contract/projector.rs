//! The projector of a group of read models.

use std::sync::Arc;

use roentgen_domain::ids::StreamId;
use roentgen_store::read_model::ParkedStream;
use tokio::task::JoinSet;

use crate::builders::{event, stream, to};
use crate::fault_injection::FaultyEngine;
use crate::harness::{ContractDatabase, ContractNode, DbFile, verified_log, wait_until};
use crate::tally_projection::{TALLY, folded, project, projected_all, rows, unfoldable};

on_both_engines!(
    rows_are_a_fold_of_the_log_whoever_writes_it,
    a_stream_goes_on_where_the_batch_before_is_not_written_yet,
    one_of_two_nodes_leads_and_the_other_takes_over,
    a_leader_that_wakes_up_late_does_no_harm,
    a_leader_that_is_late_with_its_very_first_batch_does_no_harm,
    undecodable_event_parks_only_its_stream,
);

on_postgres_only!(a_table_of_an_earlier_release_is_changed_at_the_start);

/// Appends from both nodes, to separate streams of each and to some shared streams.
async fn write_from(nodes: &[Arc<ContractNode>], rounds: u64) {
    let shared: [StreamId; 2] = [stream(), stream()];
    let mut writers = JoinSet::new();
    for n in 0..8 {
        let node = Arc::clone(&nodes[n % nodes.len()]);
        writers.spawn(async move {
            let own = stream();
            for round in 0..rounds {
                node.append(to(own, 2 * round, 2)).await.unwrap();
                // One of the two nodes succeeds.
                let _ = node.append(to(shared[n % 2], round, 1)).await;
            }
        });
    }
    writers.join_all().await;
}

async fn assert_rows_are_the_log(node: &ContractNode) {
    let log = verified_log(&*node.engine).await;
    assert_eq!(rows(&*node.engine, &log).await, folded(&log));
}

async fn rows_are_a_fold_of_the_log_whoever_writes_it(bed: &ContractDatabase) {
    let nodes = [Arc::new(bed.node().await), Arc::new(bed.node().await)];
    write_from(&nodes, 3).await;
    let (progress, _) = project(&nodes[0], "leader").await;
    write_from(&nodes, 10).await;
    projected_all(&nodes[0]).await;
    assert_rows_are_the_log(&nodes[0]).await;
    let head = nodes[0].position().await;
    let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    assert_eq!(progress.wait_for(head, soon).await, head);
}

/// The earlier release compressed sealed data, which has no effect.
async fn a_table_of_an_earlier_release_is_changed_at_the_start(bed: &ContractDatabase) {
    let first = bed.node().await;
    project(&first, "first").await;
    let earlier = "DO $$ DECLARE kept regclass; BEGIN
        FOR kept IN SELECT c.oid FROM pg_class c WHERE relnamespace = 'read'::regnamespace
            AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'sealed')
        LOOP EXECUTE format('ALTER TABLE %s ALTER sealed SET STORAGE EXTENDED', kept); END LOOP;
        END $$";
    bed.run(DbFile::Read, earlier).await;
    let storage = "SELECT DISTINCT attstorage::text FROM pg_attribute
        WHERE attname = 'sealed' AND attrelid::regclass::text LIKE 'read.%'";
    let stored = async || bed.ask(DbFile::Read, storage.to_owned()).await;
    assert_eq!(stored().await, ["x"]);

    let second = bed.node().await;
    project(&second, "second").await;
    assert_eq!(stored().await, ["e"]);
}

/// A batch is folded while the one before it is being written.
async fn a_stream_goes_on_where_the_batch_before_is_not_written_yet(bed: &ContractDatabase) {
    let writer = bed.node().await;
    let long = stream();
    for round in 0..10 {
        writer.append(to(long, 1000 * round, 1000)).await.unwrap();
    }
    let reader = bed.node().await;
    project(&reader, "leader").await;
    projected_all(&reader).await;
    assert_rows_are_the_log(&reader).await;
}

async fn one_of_two_nodes_leads_and_the_other_takes_over(bed: &ContractDatabase) {
    let one = bed.node().await;
    let two = Arc::new(bed.node().await);
    let (_, leads) = project(&one, "leader").await;
    wait_until("the first leads", async || leads.held(), |flag| *flag).await;
    let (progress, follows) = project(&two, "leader").await;
    write_from(&[Arc::clone(&two)], 5).await;
    let head = two.position().await;
    let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    assert_eq!(
        progress.wait_for(head, soon).await,
        head,
        "the follower hears of it"
    );
    assert!(leads.held() && !follows.held());
    one.stop().await;
    wait_until("the second leads", async || follows.held(), |flag| *flag).await;
    write_from(&[Arc::clone(&two)], 5).await;
    projected_all(&two).await;
    assert_rows_are_the_log(&two).await;
}

async fn a_leader_that_wakes_up_late_does_no_harm(bed: &ContractDatabase) {
    a_leader_wakes_up_late(bed, true).await;
}

async fn a_leader_that_is_late_with_its_very_first_batch_does_no_harm(bed: &ContractDatabase) {
    a_leader_wakes_up_late(bed, false).await;
}

/// Both nodes believe that they lead, which a pause can cause: the first stops after folding its rows and before its
/// transaction, the second passes it, and the first resumes. `begun` says whether a checkpoint exists by then.
async fn a_leader_wakes_up_late(bed: &ContractDatabase, begun: bool) {
    let paused = FaultyEngine::wrap(bed.connect().await);
    let one = ContractNode::with_engine(Arc::clone(&paused) as _).await;
    let two = Arc::new(bed.node().await);
    let known = stream();
    let poisoned = stream();
    if begun {
        two.append(to(stream(), 0, 1)).await.unwrap();
        project(&one, "the first believes in this lease").await;
        wait_until(
            "its checkpoint",
            async || paused.moved(),
            |flags| flags == &[true],
        )
        .await;
        paused.projections.shut();
        two.append(to(known, 0, 2)).await.unwrap();
    } else {
        two.append(to(known, 0, 2)).await.unwrap();
        paused.projections.shut();
        project(&one, "the first believes in this lease").await;
    }
    paused.projections.wait_for_waiter().await;
    let earlier = paused.moved().len();

    let mut bad = to(poisoned, 0, 2);
    bad.events[1] = unfoldable(bad.events[1].clone());
    two.append(bad).await.unwrap();
    two.append(to(known, 2, 3)).await.unwrap();
    project(&two, "and the second in that one").await;
    projected_all(&two).await;
    let log = verified_log(&*two.engine).await;
    let before = rows(&*two.engine, &log).await;
    let parked = two.engine.parked().await.unwrap();

    paused.projections.open();
    let moved = wait_until(
        "the late one",
        async || paused.moved(),
        |flags| flags.len() > earlier,
    )
    .await;
    assert!(
        !moved[earlier],
        "a checkpoint moved that was not where its mover thought"
    );
    assert_eq!(rows(&*two.engine, &log).await, before);
    assert_eq!(two.engine.parked().await.unwrap(), parked);
    write_from(&[Arc::new(one), Arc::clone(&two)], 10).await;
    projected_all(&two).await;
    let log = verified_log(&*two.engine).await;
    let mut expected = folded(&log);
    let mut found = rows(&*two.engine, &log).await;
    assert_eq!(found.remove(&poisoned.as_uuid()).unwrap().version, 1);
    expected.remove(&poisoned.as_uuid());
    assert_eq!(found, expected);
}

async fn undecodable_event_parks_only_its_stream(bed: &ContractDatabase) {
    let node = Arc::new(bed.node().await);
    let bad = stream();
    let good = stream();
    let mut poisoned = to(bad, 0, 3);
    poisoned.events[1] = unfoldable(event(bad, 2));
    let begun = node.append(poisoned).await.unwrap().position;
    node.append(to(good, 0, 2)).await.unwrap();
    let parked = [ParkedStream {
        model: TALLY.schema_name(),
        stream_id: bad,
        position: begun - 1,
        reason: "not of this world".to_owned(),
    }];
    // The second projector finds the stream parked by the first.
    for (lease, version) in [("first", 3), ("second", 4)] {
        project(&node, lease).await;
        node.append(to(bad, version, 1)).await.unwrap();
        node.append(to(good, version - 1, 1)).await.unwrap();
        write_from(std::slice::from_ref(&node), 3).await;
        projected_all(&node).await;
        assert_eq!(node.engine.parked().await.unwrap(), parked);
    }
    let log = verified_log(&*node.engine).await;
    let mut found = rows(&*node.engine, &log).await;
    assert_eq!(
        found.remove(&bad.as_uuid()).unwrap().version,
        1,
        "up to the event before"
    );
    let mut expected = folded(&log);
    expected.remove(&bad.as_uuid());
    assert_eq!(found, expected);
}
