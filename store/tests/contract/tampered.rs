//! A log that somebody was at, past the program and the database's guards.

use roentgen_domain::ids::StreamId;
use roentgen_store::chain::{Digest, Leaf, hex, link};
use roentgen_store::engine::Engine;
use roentgen_store::log::StoredEvent;
use roentgen_store::model::Checkpoint;
use roentgen_store::projector::mismatch;
use roentgen_store::verify::{Verification, verify};

use crate::bed::{Bed, Kind, Node, sound_log};
use crate::build::{stream, to};

on_both_engines!(
    verify_names_the_first_position_that_was_tampered_with,
    whoever_remembers_a_link_notices_a_log_that_was_rewritten_to_its_end,
);

const COLUMNS: &str = "tenant, stream_type, stream_id, version, event_id, type, schema_version, \
                       recorded_at, payload, sealed, metadata, leaf, hash";

/// Two streams, seven events: 1 to 3 and 6 of the one, 4, 5 and 7 of the other.
async fn seven(node: &Node) -> [StreamId; 2] {
    let (one, two) = (stream(), stream());
    for append in [to(one, 0, 3), to(two, 0, 2), to(one, 3, 1), to(two, 2, 1)] {
        node.append(append).await.unwrap();
    }
    [one, two]
}

async fn first_bad(engine: &dyn Engine) -> Option<u64> {
    match verify(engine, |_| ()).await.unwrap() {
        Verification::Holds(_) => None,
        Verification::Broken { position, .. } => Some(position),
    }
}

fn bytes(kind: Kind, bytes: &[u8]) -> String {
    match kind {
        Kind::Sqlite => format!("x'{}'", hex(bytes)),
        Kind::Postgres => format!("'\\x{}'::bytea", hex(bytes)),
    }
}

fn leaf(event: &StoredEvent) -> Digest {
    Leaf {
        tenant_id: event.tenant_id,
        stream_id: event.stream_id,
        event_id: event.event_id,
        version: event.version,
        schema_version: event.schema_version,
        stream_type: &event.stream_type,
        event_type: &event.event_type,
        payload: event.payload.as_bytes(),
        sealed: &event.sealed,
        metadata: event.metadata.as_bytes(),
    }
    .digest()
}

/// Writes these events over what stands at their positions, as if they followed `after`.
fn forged(kind: Kind, after: Digest, events: &[StoredEvent]) -> String {
    let mut last = after;
    let mut sql = String::new();
    for event in events {
        let leaf = leaf(event);
        last = link(&last, event.position, event.recorded_at_ms, &leaf);
        sql += &format!(
            "UPDATE events SET payload = '{}', version = {}, leaf = {}, hash = {} WHERE position = {};",
            event.payload,
            event.version,
            bytes(kind, &leaf),
            bytes(kind, &last),
            event.position
        );
    }
    sql
}

/// The last event again, one further.
fn once_more() -> String {
    let next = COLUMNS.replacen(" version,", " version + 1,", 1);
    format!(
        "INSERT INTO events (position, {COLUMNS}) SELECT 8, {next} FROM events WHERE position = 7;"
    )
}

fn moved(from: u64, to: u64) -> String {
    format!("UPDATE events SET position = {to} WHERE position = {from};")
}

/// What somebody does, and the first position that is not what it was.
fn deeds(kind: Kind, log: &[StoredEvent]) -> Vec<(&'static str, String, u64)> {
    let set = |column: &str, value: &str, at: u64| {
        format!("UPDATE events SET {column} = {value} WHERE position = {at}")
    };
    let other = |at: usize| StoredEvent {
        payload: r#"{"n": "forged"}"#.to_owned(),
        ..log[at - 1].clone()
    };
    let one_byte = log[2].payload.replacen("\"n\": 3", "\"n\": 4", 1);
    assert_ne!(one_byte, log[2].payload);
    let next = StoredEvent {
        position: 8,
        version: 4,
        ..log[6].clone()
    };
    vec![
        (
            "a byte of a payload",
            set("payload", &format!("'{one_byte}'"), 3),
            3,
        ),
        (
            "a space in the first payload",
            set("payload", &format!("'{} '", log[0].payload), 1),
            1,
        ),
        ("the last payload", set("payload", "'{}'", 7), 7),
        ("sealed", set("sealed", &bytes(kind, &[1, 2, 4]), 5), 5),
        (
            "metadata",
            set("metadata", "'{\"actor\": {\"sub\": \"mallory\"}}'", 2),
            2,
        ),
        ("recorded_at", set("recorded_at", "recorded_at - 1", 4), 4),
        ("type", set("type", "'ImagingOrder.Cancelled'", 6), 6),
        ("schema_version", set("schema_version", "2", 6), 6),
        ("stream_type", set("stream_type", "'Other'", 3), 3),
        ("a leaf", set("leaf", &bytes(kind, &[0; 32]), 3), 3),
        ("a link", set("hash", &bytes(kind, &[0; 32]), 3), 3),
        ("half a link", set("hash", &bytes(kind, &[0; 16]), 3), 3),
        (
            "the first removed",
            "DELETE FROM events WHERE position = 1".into(),
            1,
        ),
        (
            "one in the middle removed",
            "DELETE FROM events WHERE position = 4".into(),
            4,
        ),
        (
            "the last removed",
            "DELETE FROM events WHERE position = 7".into(),
            7,
        ),
        (
            "the last three removed",
            "DELETE FROM events WHERE position > 4".into(),
            5,
        ),
        ("all removed", "DELETE FROM events".into(), 1),
        (
            "one removed and the others moved up",
            format!(
                "DELETE FROM events WHERE position = 4;{}{}{}",
                moved(5, 4),
                moved(6, 5),
                moved(7, 6)
            ),
            4,
        ),
        (
            "two swapped",
            moved(2, 100) + &moved(5, 2) + &moved(100, 5),
            2,
        ),
        ("one added at the end", once_more(), 8),
        (
            "one added at the end and linked",
            once_more() + &forged(kind, log[6].hash, &[next]),
            8,
        ),
        (
            "one replaced, its leaf kept",
            set("payload", "'{\"n\": \"forged\"}'", 4),
            4,
        ),
        // A forger who links what he writes has only moved the break to the event behind it.
        (
            "one replaced and linked",
            forged(kind, log[2].hash, &[other(4)]),
            5,
        ),
        (
            "two replaced and linked",
            forged(kind, log[1].hash, &[other(3), other(4)]),
            5,
        ),
    ]
}

async fn verify_names_the_first_position_that_was_tampered_with(bed: &Bed) {
    let node = bed.node().await;
    seven(&node).await;
    let log = sound_log(&*node.engine).await;
    bed.tamper("CREATE TABLE untouched AS SELECT * FROM events")
        .await;
    for (deed, sql, first) in deeds(bed.kind, &log) {
        bed.tamper(&sql).await;
        assert_eq!(first_bad(&*node.engine).await, Some(first), "{deed}");
        let undone = "DELETE FROM events; INSERT INTO events SELECT * FROM untouched";
        bed.tamper(undone).await;
        assert_eq!(first_bad(&*node.engine).await, None, "{deed}, undone");
    }
}

/// The chain has no secret: who may write all of it can link all of it anew, or take the end away with all that counts
/// it. It holds against whoever has kept a link outside, as every checkpoint has.
async fn whoever_remembers_a_link_notices_a_log_that_was_rewritten_to_its_end(bed: &Bed) {
    let node = bed.node().await;
    let [one, two] = seven(&node).await;
    let log = sound_log(&*node.engine).await;
    let remembered = Checkpoint {
        position: 7,
        hash: log[6].hash,
    };
    let found = async || mismatch(&*node.engine, "mine", remembered).await.unwrap();
    assert_eq!(found().await, None);

    let mut rewritten = log[4..].to_vec();
    rewritten[0].payload = "{}".to_owned();
    bed.tamper(&forged(bed.kind, log[3].hash, &rewritten)).await;
    assert_eq!(first_bad(&*node.engine).await, None);
    assert_eq!(found().await.unwrap().found, "has another event there");

    let id = |it: StreamId| match bed.kind {
        Kind::Sqlite => bytes(bed.kind, it.as_uuid().as_bytes()),
        Kind::Postgres => format!("'{it}'"),
    };
    let cut = format!(
        "DELETE FROM events WHERE position > 5; \
         UPDATE streams SET version = 3, last_position = 3 WHERE id = {}; \
         UPDATE streams SET version = 2, last_position = 5 WHERE id = {}",
        id(one),
        id(two)
    );
    bed.tamper(&cut).await;
    assert_eq!(first_bad(&*node.engine).await, None);
    assert_eq!(found().await.unwrap().found, "ends before it");
}
