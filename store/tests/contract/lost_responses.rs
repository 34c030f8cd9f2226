//! Lost responses: an append was sent and its outcome is unknown.
//!
//! The node resends the batch with the same event ids. They are random and not derived from stream and version: with
//! derived ids, another writer's event at that version would look like this node's event.

use std::sync::Arc;

use roentgen_store::database::DatabaseUrl;
use roentgen_store::error::{EngineError, StoreError};
use roentgen_store::log::Append;
use roentgen_store::readers::Scope;

use crate::builders::{append_to_each, claim, key, key_of, patient, stream, to, unstorable_event};
use crate::fault_injection::{FaultyEngine, LostResponse};
use crate::harness::{ContractDatabase, ContractNode, verified_log};
use crate::proxy::{CutPoint, PgProxy};

on_both_engines!(
    an_append_whose_answer_was_lost_is_there_once_and_its_answer_right,
    an_append_that_never_arrived_is_written,
    another_writer_in_between_makes_it_a_conflict,
    a_batch_refused_when_it_is_sent_again_keeps_what_was_written,
);
on_postgres_only!(
    a_connection_cut_between_commit_and_answer_leaves_one_event,
    a_connection_cut_before_delivery_leaves_one_event,
    a_connection_cut_and_another_writer_in_between_makes_it_a_conflict,
);

/// Returns a node whose responses can be lost, and a node without faults.
async fn nodes(bed: &ContractDatabase) -> (Arc<FaultyEngine>, ContractNode, ContractNode) {
    let faulty = FaultyEngine::wrap(bed.connect().await);
    let node = ContractNode::with_engine(Arc::clone(&faulty) as _).await;
    (faulty, node, bed.node().await)
}

/// Returns an append with everything that an append can carry.
fn full() -> Append {
    let one = stream();
    let two = stream();
    let mut append = append_to_each(&[(one, 0), (two, 0)]);
    append.claims = vec![claim(key(), one)];
    append.patient_keys = vec![key_of(patient())];
    append
}

async fn an_append_whose_answer_was_lost_is_there_once_and_its_answer_right(
    bed: &ContractDatabase,
) {
    let (faulty, node, other) = nodes(bed).await;
    let claim_alone = Append {
        claims: vec![claim(key(), stream())],
        ..Append::default()
    };
    let appends = [full(), to(stream(), 0, 3), claim_alone];
    let asking = faulty.append_in_one_batch(&node, &appends, Some(LostResponse::AfterTheCall));
    let meanwhile = async {
        faulty.lost().await;
        // The log grows before the outcome is known, also on the streams that were written.
        let more = to(appends[0].checks[0].stream_id, 1, 1);
        assert_eq!(other.append(more).await.unwrap().position, 7);
        faulty.appends.open();
    };
    let (answers, ()) = tokio::join!(asking, meanwhile);
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    // The reservation alone has no event: its receipt has the head at which it was checked.
    assert_eq!([answers[0].position, answers[1].position], [3, 6]);
    let log = verified_log(&*other.engine).await;
    assert_eq!(log.len(), 7);
    let told = appends
        .iter()
        .flat_map(|append| &append.events)
        .map(|event| event.event_id);
    assert!(told.eq(log[1..6].iter().map(|event| event.event_id)));
    assert_eq!(log[1].recorded_at(), answers[0].recorded_at);
    // The recent events of this node have no gap and no duplicate.
    node.append(to(stream(), 0, 1)).await.unwrap();
    assert_eq!(node.tail.after(7, 10).unwrap()[0].position, 8);
    assert_eq!(node.tail.after(1, 10), None);
    assert_eq!(*node.tail.head().borrow(), 8);
}

async fn an_append_that_never_arrived_is_written(bed: &ContractDatabase) {
    let (faulty, node, other) = nodes(bed).await;
    faulty.lose(LostResponse::BeforeTheCall);
    let append = full();
    let meanwhile = async {
        faulty.lost().await;
        assert_eq!(other.append(to(stream(), 0, 1)).await.unwrap().position, 1);
        faulty.appends.open();
    };
    let (answer, ()) = tokio::join!(node.append(append.clone()), meanwhile);
    assert_eq!(answer.unwrap().position, 3);
    let log = verified_log(&*other.engine).await;
    assert_eq!(log.len(), 3);
    assert_eq!(log[2].event_id, append.events[1].event_id);
}

async fn another_writer_in_between_makes_it_a_conflict(bed: &ContractDatabase) {
    let (faulty, node, other) = nodes(bed).await;
    faulty.lose(LostResponse::BeforeTheCall);
    let fought_for = stream();
    let meanwhile = async {
        faulty.lost().await;
        other.append(to(fought_for, 0, 1)).await.unwrap();
        faulty.appends.open();
    };
    let (answer, ()) = tokio::join!(node.append(to(fought_for, 0, 1)), meanwhile);
    assert!(
        matches!(answer, Err(StoreError::Conflict { actual: 1, .. })),
        "{answer:?}"
    );
    assert_eq!(verified_log(&*other.engine).await.len(), 1);
}

/// The first call wrote one append and rejected the other, whose stream was at another version. After the lost response
/// the stream reaches the version that the second append expects, and the database now rejects its payload: the batch
/// is resent in halves, and each append must still get its own outcome.
async fn a_batch_refused_when_it_is_sent_again_keeps_what_was_written(bed: &ContractDatabase) {
    let (faulty, node, other) = nodes(bed).await;
    let awaited = stream();
    let good = full();
    let bad = Append {
        events: vec![unstorable_event(awaited, 2)],
        ..to(awaited, 1, 1)
    };
    let appends = [good, bad];
    let asking = faulty.append_in_one_batch(&node, &appends, Some(LostResponse::AfterTheCall));
    let meanwhile = async {
        faulty.lost().await;
        other.append(to(awaited, 0, 1)).await.unwrap();
        faulty.appends.open();
    };
    let (answers, ()) = tokio::join!(asking, meanwhile);
    let [written, refused] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert!(
        matches!(refused, Err(StoreError::Engine(EngineError::Rejected(_)))),
        "{refused:?}"
    );
    assert_eq!(written.as_ref().unwrap().position, 3);
    assert_eq!(verified_log(&*other.engine).await.len(), 4);
}

/// Returns a node connected through a proxy that can be cut, with its append statement prepared, and a node with a
/// separate connection.
async fn wired(bed: &ContractDatabase) -> (PgProxy, ContractNode, ContractNode) {
    let proxy = PgProxy::to(&bed.url()).await;
    let by_wire = DatabaseUrl::parse(&proxy.url(&bed.url())).unwrap();
    let node = ContractNode::with_engine(by_wire.connect().await.unwrap()).await;
    node.append(to(stream(), 0, 1)).await.unwrap();
    node.append(to(stream(), 0, 1)).await.unwrap();
    (proxy, node, bed.node().await)
}

async fn a_connection_cut_between_commit_and_answer_leaves_one_event(bed: &ContractDatabase) {
    let (proxy, node, other) = wired(bed).await;
    for round in 1..=3 {
        let append = full();
        proxy.cut(CutPoint::AfterItIsCommitted);
        let meanwhile = async {
            proxy.was_cut(round).await;
            let stands = other
                .engine
                .read_stream(Scope::AllTenants, append.checks[0].stream_id, 0, 10)
                .await
                .unwrap();
            assert_eq!(stands.len(), 1, "it was committed before the cut");
            other.append(to(stream(), 0, 1)).await.unwrap();
            proxy.restore();
            stands[0].position
        };
        let (answer, first) = tokio::join!(node.append(append.clone()), meanwhile);
        assert_eq!(answer.unwrap().position, first + 1);
        let stands = other
            .engine
            .read_stream(Scope::AllTenants, append.checks[0].stream_id, 0, 10)
            .await
            .unwrap();
        assert_eq!(stands.len(), 1);
        assert_eq!(stands[0].event_id, append.events[0].event_id);
    }
    assert_eq!(verified_log(&*other.engine).await.len(), 2 + 3 * 3);
}

async fn a_connection_cut_before_delivery_leaves_one_event(bed: &ContractDatabase) {
    let (proxy, node, other) = wired(bed).await;
    let append = full();
    proxy.cut(CutPoint::BeforeItIsDelivered);
    let meanwhile = async {
        proxy.was_cut(1).await;
        assert_eq!(other.position().await, 2);
        proxy.restore();
    };
    let (answer, ()) = tokio::join!(node.append(append), meanwhile);
    assert_eq!(answer.unwrap().position, 4);
    assert_eq!(verified_log(&*other.engine).await.len(), 4);
}

async fn a_connection_cut_and_another_writer_in_between_makes_it_a_conflict(
    bed: &ContractDatabase,
) {
    let (proxy, node, other) = wired(bed).await;
    let fought_for = stream();
    proxy.cut(CutPoint::BeforeItIsDelivered);
    let meanwhile = async {
        proxy.was_cut(1).await;
        other.append(to(fought_for, 0, 1)).await.unwrap();
        proxy.restore();
    };
    let (answer, ()) = tokio::join!(node.append(to(fought_for, 0, 1)), meanwhile);
    assert!(
        matches!(answer, Err(StoreError::Conflict { actual: 1, .. })),
        "{answer:?}"
    );
    assert_eq!(verified_log(&*other.engine).await.len(), 3);
}
