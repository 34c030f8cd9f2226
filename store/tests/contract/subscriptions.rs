//! Durable subscriptions and policy memory.

use std::collections::HashSet;
use std::sync::Arc;

use roentgen_store::policy_memory::{MemoryEntry, MemoryKey, RejectedEffect};
use roentgen_store::subscription::{Subscription, SubscriptionChanges};

use crate::builders::{event, stream, tenant, to};
use crate::harness::{ContractDatabase, ContractNode};

on_both_engines!(
    reads_on_where_the_checkpoint_stands,
    only_the_events_of_interest_are_handed_out,
    what_is_remembered_goes_with_the_checkpoint,
    a_reader_that_wakes_up_late_does_no_harm,
    timers_come_in_the_order_in_which_they_fall_due,
    a_refused_effect_is_kept_once,
);

const CREATED: &str = "ImagingOrder.Created";

async fn subscribed(node: &ContractNode) -> Subscription {
    let types = HashSet::from([CREATED]);
    let engine = Arc::clone(&node.engine);
    let tail = Arc::clone(&node.tail);
    let resumed = Subscription::resume(engine, tail, "policies", types).await;
    resumed.unwrap().unwrap()
}

fn key(name: &str) -> MemoryKey {
    MemoryKey {
        topic: "waiting",
        tenant_id: tenant(),
        key: name.to_owned(),
    }
}

fn kept(name: &str, value: &str, due_at_ms: Option<i64>) -> MemoryEntry {
    MemoryEntry::new(&key(name), value.to_owned(), due_at_ms)
}

fn keeping(kept: Vec<MemoryEntry>) -> SubscriptionChanges {
    SubscriptionChanges {
        kept,
        ..SubscriptionChanges::default()
    }
}

async fn reads_on_where_the_checkpoint_stands(bed: &ContractDatabase) {
    let node = bed.node().await;
    let mut reader = subscribed(&node).await;
    node.append(to(stream(), 0, 3)).await.unwrap();
    assert_eq!(reader.next().await.unwrap().len(), 3);
    assert!(reader.commit(SubscriptionChanges::default()).await.unwrap());
    node.append(to(stream(), 0, 2)).await.unwrap();
    let elsewhere = bed.node().await;
    let mut again = subscribed(&elsewhere).await;
    assert_eq!(again.checkpoint(), 3);
    let positions: Vec<u64> = again
        .next()
        .await
        .unwrap()
        .iter()
        .map(|event| event.position)
        .collect();
    assert_eq!(positions, [4, 5], "another node's, from the database");
}

async fn only_the_events_of_interest_are_handed_out(bed: &ContractDatabase) {
    let node = bed.node().await;
    let mut other = to(stream(), 0, 1);
    other.events[0].event_type = "ImagingOrder.Scheduled";
    node.append(to(stream(), 0, 1)).await.unwrap();
    node.append(other).await.unwrap();
    for mut reader in [subscribed(&node).await, subscribed(&bed.node().await).await] {
        let events = reader.next().await.unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(&*events[0].event_type, CREATED);
        assert_eq!(
            reader.position(),
            2,
            "the others were looked at all the same"
        );
        assert!(reader.next().await.unwrap().is_empty());
    }
}

async fn what_is_remembered_goes_with_the_checkpoint(bed: &ContractDatabase) {
    let node = bed.node().await;
    let mut reader = subscribed(&node).await;
    node.append(to(stream(), 0, 1)).await.unwrap();
    reader.next().await.unwrap();
    let first = keeping(vec![kept("A", "[1]", None), kept("B", "[2]", None)]);
    assert!(reader.commit(first).await.unwrap());
    let second = SubscriptionChanges {
        kept: vec![kept("A", "[1,3]", None)],
        forgotten: vec![key("B").id()],
        ..SubscriptionChanges::default()
    };
    assert!(reader.commit(second).await.unwrap());
    let keys = [key("A"), key("B"), key("C")];
    let recalled = reader.memory(&keys).await.unwrap().unwrap();
    assert_eq!(recalled, [kept("A", "[1,3]", None)]);
}

async fn a_reader_that_wakes_up_late_does_no_harm(bed: &ContractDatabase) {
    let one = bed.node().await;
    let two = bed.node().await;
    node_writes(&one).await;
    let mut late = subscribed(&one).await;
    late.next().await.unwrap();
    let mut other = subscribed(&two).await;
    other.next().await.unwrap();
    let newer = keeping(vec![kept("A", "newer", None)]);
    assert!(other.commit(newer).await.unwrap());
    assert!(
        late.memory(&[key("A")]).await.unwrap().is_none(),
        "what it recalls would be of a later checkpoint"
    );
    let older = keeping(vec![kept("A", "older", None)]);
    assert!(!late.commit(older).await.unwrap());
    let recalled = other.memory(&[key("A")]).await.unwrap().unwrap();
    assert_eq!(recalled, [kept("A", "newer", None)]);
}

async fn node_writes(node: &ContractNode) {
    let stream_id = stream();
    let mut append = to(stream_id, 0, 1);
    append.events = vec![event(stream_id, 1)];
    node.append(append).await.unwrap();
}

async fn timers_come_in_the_order_in_which_they_fall_due(bed: &ContractDatabase) {
    let node = bed.node().await;
    let mut reader = subscribed(&node).await;
    let timers = vec![
        kept("late", "{}", Some(300)),
        kept("none", "{}", None),
        kept("early", "{}", Some(100)),
    ];
    assert!(reader.commit(keeping(timers)).await.unwrap());
    let due = node.engine.due_timers(10).await.unwrap();
    let keys: Vec<&str> = due.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["early", "late"]);
    assert_eq!(node.engine.due_timers(1).await.unwrap().len(), 1);
}

async fn a_refused_effect_is_kept_once(bed: &ContractDatabase) {
    let node = bed.node().await;
    let mut reader = subscribed(&node).await;
    let refusal = RejectedEffect {
        position: 1,
        tenant_id: tenant(),
        effect: "worklist.create".to_owned(),
        reason: "study not found".to_owned(),
    };
    for _ in 0..2 {
        let changes = SubscriptionChanges {
            refusals: vec![refusal.clone()],
            ..SubscriptionChanges::default()
        };
        assert!(reader.commit(changes).await.unwrap());
    }
    let kept = node.engine.rejected_effects(10).await.unwrap();
    assert_eq!(kept, [refusal]);
}
