use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;
use crate::clock::fresh_id;
use crate::fair::FairShare;
use crate::log::{Append, ExpectedVersion, NewEvent, PreparedAppend};

fn tenant(n: u128) -> ShareOwner {
    ShareOwner::Tenant(Uuid::from_u128(n).into())
}

/// Returns an append of one event with `bytes` bytes to `stream`.
fn job(stream: u128, bytes: usize) -> QueuedAppend {
    let stream_id = Uuid::from_u128(stream).into();
    let mut append = Append::default();
    append.checks.push(ExpectedVersion {
        stream_id,
        expected: 0,
    });
    append.events.push(NewEvent {
        event_id: fresh_id().into(),
        tenant_id: Uuid::from_u128(1).into(),
        stream_type: "Thing",
        stream_id,
        version: 1,
        event_type: "Thing.Happened",
        schema_version: 1,
        payload: "x".repeat(bytes),
        sealed: Vec::new(),
        metadata: String::new(),
    });
    let leaves = append.events.iter().map(NewEvent::leaf).collect();
    let room = FairShare::new("test", super::super::ROOM);
    QueuedAppend {
        prepared: PreparedAppend { append, leaves },
        deadline: Instant::now() + Duration::from_secs(30),
        reply: oneshot::channel().0,
        _room: room.try_enter(ShareOwner::System, 1).unwrap(),
    }
}

fn streams(batch: &[QueuedAppend]) -> Vec<u128> {
    let appends = batch.iter().map(|job| &job.prepared.append);
    let ids = appends.flat_map(|append| append.events.iter().map(|event| event.stream_id));
    ids.map(|id| id.as_uuid().as_u128()).collect()
}

#[test]
fn newcomer_goes_out_with_the_next_batch_however_much_another_party_sent() {
    let queue = WorkerQueue::default();
    for n in 0..1000 {
        queue.push(tenant(1), job(1000 + n, 200_000)).unwrap();
    }
    queue.push(tenant(2), job(1, 10)).unwrap();
    assert!(streams(&queue.next_batch()).contains(&1));
}

#[test]
fn batch_is_formed_in_turns() {
    let queue = WorkerQueue::default();
    for n in 0..500 {
        queue.push(tenant(1), job(1000 + n, 10)).unwrap();
    }
    for n in 0..100 {
        queue.push(tenant(2), job(1 + n, 10)).unwrap();
    }
    let batch = streams(&queue.next_batch());
    assert_eq!(batch.len(), MAX_APPENDS);
    let own = batch.iter().filter(|stream| **stream < 1000).count();
    assert_eq!(own, 100, "all of the party that sent less than half");
}

#[test]
fn appends_to_one_stream_keep_their_order_and_leave_room_for_others() {
    let queue = WorkerQueue::default();
    for bytes in 1..=3 {
        queue.push(tenant(1), job(7, bytes)).unwrap();
    }
    queue.push(tenant(1), job(8, 1)).unwrap();
    let sizes = |batch: &[QueuedAppend]| -> Vec<usize> {
        let appends = batch.iter().map(|job| &job.prepared.append);
        appends.map(|append| append.events[0].size()).collect()
    };
    let first = queue.next_batch();
    assert_eq!((streams(&first), sizes(&first)), (vec![7, 8], vec![1, 1]));
    let second = queue.next_batch();
    assert_eq!((streams(&second), sizes(&second)), (vec![7], vec![2]));
    let third = queue.next_batch();
    assert_eq!((streams(&third), sizes(&third)), (vec![7], vec![3]));
    assert!(queue.next_batch().is_empty());
    assert_eq!(queue.len(), 0);
}

#[test]
fn nothing_is_lost_or_sent_twice_whatever_the_turns() {
    let queue = WorkerQueue::default();
    for n in 0..600_u128 {
        queue.push(tenant(n % 7), job(n % 90, 10_000)).unwrap();
    }
    let mut sent = 0;
    let mut batches = 0;
    while queue.len() > 0 {
        let batch = streams(&queue.next_batch());
        let once: HashSet<_> = batch.iter().collect();
        assert_eq!(once.len(), batch.len(), "a stream stands twice in a batch");
        sent += batch.len();
        batches += 1;
        assert!(batches < 600, "the queue does not get shorter");
    }
    assert_eq!(sent, 600);
}

#[test]
fn closed_queue_takes_nothing_and_keeps_what_it_has() {
    let queue = WorkerQueue::default();
    queue.push(tenant(1), job(1, 1)).unwrap();
    queue.close();
    assert!(queue.push(tenant(1), job(2, 1)).is_err());
    assert_eq!(streams(&queue.next_batch()), [1]);
}

#[test]
fn one_party_leaves_room_in_the_queue_for_another() {
    let room = FairShare::new("test", super::super::ROOM);
    let event = crate::log::MAX_EVENT_BYTES;
    let mut flood = Vec::new();
    while let Ok(share) = room.try_enter(tenant(1), event) {
        flood.push(share);
    }
    assert!(flood.len() >= 256, "a lone party has all of it");
    assert!(room.try_enter(tenant(2), event).is_ok());
}
