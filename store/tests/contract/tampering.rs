//! A log that was tampered with, past the program and the database's guards.

use roentgen_domain::ids::StreamId;
use roentgen_store::chain::{Digest, hex, link};
use roentgen_store::chain_verification::{ChainBreak, Verification, verify};
use roentgen_store::checkpoint::checkpoint_mismatch;
use roentgen_store::engine::Engine;
use roentgen_store::log::StoredEvent;
use roentgen_store::read_model::Checkpoint;

use crate::builders::{stream, to};
use crate::harness::{ContractDatabase, ContractNode, EngineKind, verified_log};

on_both_engines!(
    verify_names_the_first_position_that_was_tampered_with,
    whoever_remembers_a_link_notices_a_log_that_was_rewritten_to_its_end,
);

const COLUMNS: &str = "tenant, stream_type, stream_id, version, event_id, type, schema_version, \
                       recorded_at, payload, sealed, metadata, leaf, hash";

/// Appends seven events to two streams: 1 to 3 and 6 to the first, 4, 5 and 7 to the second.
async fn seven(node: &ContractNode) -> [StreamId; 2] {
    let one = stream();
    let two = stream();
    for append in [to(one, 0, 3), to(two, 0, 2), to(one, 3, 1), to(two, 2, 1)] {
        node.append(append).await.unwrap();
    }
    [one, two]
}

async fn first_bad(engine: &dyn Engine) -> Option<u64> {
    match verify(engine, None, |_| ()).await.unwrap() {
        Verification::Intact { .. } => None,
        Verification::Broken(ChainBreak { position, .. }) => Some(position),
    }
}

fn bytes(kind: EngineKind, bytes: &[u8]) -> String {
    match kind {
        EngineKind::Sqlite => format!("x'{}'", hex(bytes)),
        EngineKind::Postgres => format!("'\\x{}'::bytea", hex(bytes)),
    }
}

/// Returns SQL that overwrites the rows at these events' positions as if they followed `after`.
fn forged(kind: EngineKind, after: Digest, events: &[StoredEvent]) -> String {
    let mut last = after;
    let mut sql = String::new();
    for event in events {
        let leaf = event.computed_leaf();
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

/// Returns SQL that inserts the last event again at the next position and version.
fn once_more() -> String {
    let next = COLUMNS.replacen(" version,", " version + 1,", 1);
    format!(
        "INSERT INTO events (position, {COLUMNS}) SELECT 8, {next} FROM events WHERE position = 7;"
    )
}

fn moved(from: u64, to: u64) -> String {
    format!("UPDATE events SET position = {to} WHERE position = {from};")
}

/// Name of the change, its SQL, and the first position that verification must report.
type Tampering = (&'static str, String, u64);

fn alterations(kind: EngineKind, log: &[StoredEvent]) -> Vec<Tampering> {
    let one_byte = log[2].payload.replacen("\"n\": 3", "\"n\": 4", 1);
    assert_ne!(one_byte, log[2].payload);
    let alterations = [
        ("a byte of a payload", "payload", format!("'{one_byte}'"), 3),
        (
            "a space in the first payload",
            "payload",
            format!("'{} '", log[0].payload),
            1,
        ),
        ("the last payload", "payload", "'{}'".into(), 7),
        ("sealed", "sealed", bytes(kind, &[1, 2, 4]), 5),
        (
            "metadata",
            "metadata",
            "'{\"actor\": {\"sub\": \"mallory\"}}'".into(),
            2,
        ),
        ("recorded_at", "recorded_at", "recorded_at - 1".into(), 4),
        ("type", "type", "'ImagingOrder.Cancelled'".into(), 6),
        ("schema_version", "schema_version", "2".into(), 6),
        ("stream_type", "stream_type", "'Other'".into(), 3),
        ("a leaf", "leaf", bytes(kind, &[0; 32]), 3),
        ("a link", "hash", bytes(kind, &[0; 32]), 3),
        ("half a link", "hash", bytes(kind, &[0; 16]), 3),
    ];
    let sql = |(what, column, value, at)| {
        let sql = format!("UPDATE events SET {column} = {value} WHERE position = {at}");
        (what, sql, at)
    };
    alterations.into_iter().map(sql).collect()
}

fn removals() -> Vec<Tampering> {
    let gone = |which: &str| format!("DELETE FROM events WHERE position {which};");
    let moved_up = [moved(5, 4), moved(6, 5), moved(7, 6)].concat();
    let swapped = [moved(2, 100), moved(5, 2), moved(100, 5)].concat();
    vec![
        ("the first removed", gone("= 1"), 1),
        ("one in the middle removed", gone("= 4"), 4),
        ("the last removed", gone("= 7"), 7),
        ("the last three removed", gone("> 4"), 5),
        ("all removed", gone("> 0"), 1),
        (
            "one removed and the others moved up",
            gone("= 4") + &moved_up,
            4,
        ),
        ("two swapped", swapped, 2),
    ]
}

/// A forger who recomputes the hashes only moves the break to the next event.
fn forgeries(kind: EngineKind, log: &[StoredEvent]) -> Vec<Tampering> {
    let other = |at: usize| StoredEvent {
        payload: r#"{"n": "forged"}"#.to_owned(),
        ..log[at - 1].clone()
    };
    let next = StoredEvent {
        position: 8,
        version: 4,
        ..log[6].clone()
    };
    let one = forged(kind, log[2].hash, &[other(4)]);
    let two = forged(kind, log[1].hash, &[other(3), other(4)]);
    let added = once_more() + &forged(kind, log[6].hash, &[next]);
    vec![
        ("one replaced and linked", one, 5),
        ("two replaced and linked", two, 5),
        ("one added at the end", once_more(), 8),
        ("one added at the end and linked", added, 8),
    ]
}

async fn verify_names_the_first_position_that_was_tampered_with(bed: &ContractDatabase) {
    let node = bed.node().await;
    seven(&node).await;
    let log = verified_log(&*node.engine).await;
    bed.tamper("CREATE TABLE untouched AS SELECT * FROM events")
        .await;
    let deeds = [
        alterations(bed.kind, &log),
        removals(),
        forgeries(bed.kind, &log),
    ]
    .concat();
    for (deed, sql, first) in deeds {
        bed.tamper(&sql).await;
        assert_eq!(first_bad(&*node.engine).await, Some(first), "{deed}");
        let undone = "DELETE FROM events; INSERT INTO events SELECT * FROM untouched";
        bed.tamper(undone).await;
        assert_eq!(first_bad(&*node.engine).await, None, "{deed}, undone");
    }
}

/// The chain has no secret: a writer with full access can relink all of it, or remove its end and all counters. Every
/// stored checkpoint holds a chain hash and reveals this.
async fn whoever_remembers_a_link_notices_a_log_that_was_rewritten_to_its_end(
    bed: &ContractDatabase,
) {
    let node = bed.node().await;
    let [one, two] = seven(&node).await;
    let log = verified_log(&*node.engine).await;
    let remembered = Checkpoint {
        position: 7,
        hash: log[6].hash,
    };
    let found = async || {
        checkpoint_mismatch(&*node.engine, "mine", remembered)
            .await
            .unwrap()
    };
    assert_eq!(found().await, None);

    let mut rewritten = log[4..].to_vec();
    rewritten[0].payload = "{}".to_owned();
    bed.tamper(&forged(bed.kind, log[3].hash, &rewritten)).await;
    assert_eq!(first_bad(&*node.engine).await, None);
    assert_eq!(found().await.unwrap().found, "has a different event there");

    let id = |id: StreamId| match bed.kind {
        EngineKind::Sqlite => bytes(bed.kind, id.as_uuid().as_bytes()),
        EngineKind::Postgres => format!("'{id}'"),
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
    assert_eq!(found().await.unwrap().found, "ends earlier");
}
