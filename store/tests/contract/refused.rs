//! Rows that the database rejects: their stream is parked, and the others continue.

use std::sync::Arc;

use roentgen_domain::ids::StreamId;
use roentgen_store::generation::GenerationState;
use roentgen_store::projector::{ParkedStreams, RetryOutcome};
use roentgen_store::read_model::Table;
use roentgen_store::readers::Scope;

use crate::builders::{stream, to};
use crate::fault_injection::FaultyEngine;
use crate::harness::{ContractDatabase, ContractNode, DbFile, EngineKind, wait_until, whole_log};
use crate::tally_projection::{TALLY, Tally, folded, project, project_as, projected_all, rows};

on_both_engines!(
    a_refused_row_parks_its_stream_and_the_others_go_on,
    a_parked_stream_is_whole_when_its_row_is_accepted,
    several_refused_rows_in_one_batch_park_their_streams,
    a_missing_table_parks_nobody,
    a_slow_row_parks_its_stream_when_another_row_passes,
    a_slow_row_alone_parks_nobody,
    a_lost_connection_parks_nobody,
    a_rebuild_ends_by_name_at_a_refused_row,
);

/// Makes the database reject the rows of these streams.
async fn refuse(bed: &ContractDatabase, streams: &[StreamId]) {
    let ids: Vec<String> = streams.iter().map(|stream| id(bed, *stream)).collect();
    let ids = ids.join(", ");
    by_hand(
        bed,
        &match bed.kind {
            EngineKind::Sqlite => {
                let refuse = |event: &str| {
                    format!(
                        "CREATE TRIGGER refuse_{event} BEFORE {event} ON tally_v1 \
                         WHEN NEW.id IN ({ids}) BEGIN SELECT RAISE(ABORT, 'refused'); END;"
                    )
                };
                refuse("INSERT") + &refuse("UPDATE")
            }
            EngineKind::Postgres => format!(
                "CREATE FUNCTION read.refuse() RETURNS trigger LANGUAGE plpgsql \
                 AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$; \
                 CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON read.tally_v1 \
                 FOR EACH ROW WHEN (NEW.id IN ({ids})) EXECUTE FUNCTION read.refuse()"
            ),
        },
    )
    .await;
}

async fn accept(bed: &ContractDatabase) {
    by_hand(
        bed,
        match bed.kind {
            EngineKind::Sqlite => "DROP TRIGGER refuse_INSERT; DROP TRIGGER refuse_UPDATE",
            EngineKind::Postgres => {
                "DROP TRIGGER refuse ON read.tally_v1; DROP FUNCTION read.refuse()"
            }
        },
    )
    .await;
}

fn id(bed: &ContractDatabase, stream: StreamId) -> String {
    let id = stream.as_uuid();
    match bed.kind {
        EngineKind::Sqlite => format!("x'{}'", id.simple()),
        EngineKind::Postgres => format!("'{id}'"),
    }
}

async fn by_hand(bed: &ContractDatabase, sql: &str) {
    bed.run(DbFile::Read, sql).await;
}

/// Returns a projecting node, and a stream with a written row.
async fn projecting(bed: &ContractDatabase) -> (ContractNode, StreamId) {
    let node = bed.node().await;
    project(&node, "leader").await;
    let known = stream();
    node.append(to(known, 0, 1)).await.unwrap();
    projected_all(&node).await;
    (node, known)
}

async fn parked(node: &ContractNode) -> Vec<StreamId> {
    let parked = node.engine.parked().await.unwrap();
    parked.into_iter().map(|parked| parked.stream_id).collect()
}

fn parking(node: &ContractNode) -> ParkedStreams {
    ParkedStreams::new(Arc::clone(&node.engine), vec![Arc::new(Tally::SOUND)])
}

/// Appends to the stream and to others around it, in one batch.
async fn append_around(node: &ContractNode, bad: StreamId, version: u64) -> Vec<StreamId> {
    let others: Vec<StreamId> = (0..6).map(|_| stream()).collect();
    let mut all = to(bad, version, 2);
    for other in &others {
        let more = to(*other, 0, 2);
        all.checks.extend(more.checks);
        all.events.extend(more.events);
    }
    all.events.rotate_left(4);
    node.append(all).await.unwrap();
    others
}

/// Checks that the rows of all other streams equal the log.
async fn assert_others_whole(node: &ContractNode, bad: &[StreamId]) {
    let mut log = whole_log(&*node.engine).await;
    log.retain(|event| !bad.contains(&event.stream_id));
    assert_eq!(rows(&*node.engine, &log).await, folded(&log));
}

async fn a_refused_row_parks_its_stream_and_the_others_go_on(bed: &ContractDatabase) {
    let (node, bad) = projecting(bed).await;
    refuse(bed, &[bad]).await;
    append_around(&node, bad, 1).await;
    projected_all(&node).await;
    assert_eq!(parked(&node).await, [bad]);
    let reason = node.engine.parked().await.unwrap().remove(0).reason;
    let code = match bed.kind {
        EngineKind::Sqlite => "1811",
        EngineKind::Postgres => "P0001",
    };
    assert_eq!(
        reason,
        format!("the database refused the stream's rows (code {code})")
    );
    assert_others_whole(&node, &[bad]).await;
}

async fn a_parked_stream_is_whole_when_its_row_is_accepted(bed: &ContractDatabase) {
    let (node, bad) = projecting(bed).await;
    refuse(bed, &[bad]).await;
    append_around(&node, bad, 1).await;
    projected_all(&node).await;
    let refused = parking(&node).retry("tally", bad).await.unwrap();
    assert!(
        matches!(&refused, Some(RetryOutcome::StillParked(parked_stream)) if parked_stream.stream_id == bad),
        "{refused:?}"
    );
    accept(bed).await;
    let accepted = parking(&node).retry("tally", bad).await.unwrap();
    assert_eq!(accepted, Some(RetryOutcome::Resolved));
    node.append(to(bad, 3, 1)).await.unwrap();
    projected_all(&node).await;
    assert_eq!(parked(&node).await, []);
    assert_others_whole(&node, &[]).await;
}

async fn several_refused_rows_in_one_batch_park_their_streams(bed: &ContractDatabase) {
    let (node, known) = projecting(bed).await;
    let mut bad: Vec<StreamId> = (0..2).map(|_| stream()).collect();
    bad.push(known);
    refuse(bed, &bad).await;
    let mut all = to(known, 1, 1);
    for stream in [bad[0], stream(), bad[1], stream()] {
        let more = to(stream, 0, 1);
        all.checks.extend(more.checks);
        all.events.extend(more.events);
    }
    node.append(all).await.unwrap();
    projected_all(&node).await;
    let mut found = parked(&node).await;
    let mut expected = bad.clone();
    found.sort_by_key(|id| id.as_uuid());
    expected.sort_by_key(|id| id.as_uuid());
    assert_eq!(found, expected);
    assert_others_whole(&node, &bad).await;
}

async fn a_missing_table_parks_nobody(bed: &ContractDatabase) {
    let gated = FaultyEngine::wrap(bed.connect().await);
    let node = ContractNode::with_engine(Arc::clone(&gated) as _).await;
    project(&node, "leader").await;
    node.append(to(stream(), 0, 1)).await.unwrap();
    projected_all(&node).await;
    let (there, away) = match bed.kind {
        EngineKind::Sqlite => (
            "ALTER TABLE tally_v1 RENAME TO away",
            "ALTER TABLE away RENAME TO tally_v1",
        ),
        EngineKind::Postgres => (
            "ALTER TABLE read.tally_v1 RENAME TO away",
            "ALTER TABLE read.away RENAME TO tally_v1",
        ),
    };
    by_hand(bed, there).await;
    let before = gated.failures();
    append_around(&node, stream(), 0).await;
    wait_until(
        "several failures",
        async || gated.failures(),
        |number| *number >= before + 3,
    )
    .await;
    assert_eq!(parked(&node).await, []);
    by_hand(bed, away).await;
    projected_all(&node).await;
    assert_eq!(parked(&node).await, []);
    assert_others_whole(&node, &[]).await;
}

/// Returns a node over an engine that times out on a batch with a row of this stream.
async fn slow_for(bed: &ContractDatabase, slow: StreamId) -> (Arc<FaultyEngine>, ContractNode) {
    let faulty = FaultyEngine::wrap(bed.connect().await);
    let node = ContractNode::with_engine(Arc::clone(&faulty) as _).await;
    project(&node, "leader").await;
    node.append(to(stream(), 0, 1)).await.unwrap();
    projected_all(&node).await;
    faulty.be_late_for(slow);
    (faulty, node)
}

async fn a_slow_row_parks_its_stream_when_another_row_passes(bed: &ContractDatabase) {
    let bad = stream();
    let (_, node) = slow_for(bed, bad).await;
    append_around(&node, bad, 0).await;
    projected_all(&node).await;
    assert_eq!(parked(&node).await, [bad]);
    assert_others_whole(&node, &[bad]).await;
}

async fn a_slow_row_alone_parks_nobody(bed: &ContractDatabase) {
    let bad = stream();
    let (faulty, node) = slow_for(bed, bad).await;
    node.append(to(bad, 0, 1)).await.unwrap();
    wait_until(
        "several failures",
        async || faulty.failures(),
        |number| *number >= 4,
    )
    .await;
    assert_eq!(parked(&node).await, []);
    node.append(to(stream(), 0, 1)).await.unwrap();
    projected_all(&node).await;
    assert_eq!(parked(&node).await, [bad]);
}

async fn a_lost_connection_parks_nobody(bed: &ContractDatabase) {
    let faulty = FaultyEngine::wrap(bed.connect().await);
    let node = ContractNode::with_engine(Arc::clone(&faulty) as _).await;
    project(&node, "leader").await;
    faulty.hang_up(6);
    append_around(&node, stream(), 0).await;
    projected_all(&node).await;
    assert_eq!(faulty.failures(), 6);
    assert_eq!(parked(&node).await, []);
    assert_others_whole(&node, &[]).await;
}

async fn a_rebuild_ends_by_name_at_a_refused_row(bed: &ContractDatabase) {
    let node = bed.node().await;
    let (rebuilding, ..) = project_as(&node, "leader", Tally::SOUND).await;
    let bad = stream();
    node.append(to(bad, 0, 1)).await.unwrap();
    projected_all(&node).await;
    let next = Table {
        model: &TALLY,
        generation: 2,
    };
    node.engine.create_tables(&[next]).await.unwrap();
    let refusing = match bed.kind {
        EngineKind::Sqlite => {
            "CREATE TRIGGER refuse BEFORE INSERT ON tally_v1_g2 \
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        }
        EngineKind::Postgres => {
            "CREATE FUNCTION read.refuse() RETURNS trigger LANGUAGE plpgsql \
             AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON read.tally_v1_g2 \
             FOR EACH ROW EXECUTE FUNCTION read.refuse()"
        }
    };
    by_hand(bed, refusing).await;
    rebuilding.request("tally").await.unwrap();
    let failed = async || {
        let generations = node.engine.generations().await.unwrap();
        generations
            .into_iter()
            .find(|generation| generation.generation == 2)
            .map(|generation| generation.state)
    };
    let has_ended =
        |state: &Option<GenerationState>| matches!(state, Some(GenerationState::Failed { .. }));
    let ended = wait_until("the end of the rebuild", failed, has_ended).await;
    let reason = ended
        .as_ref()
        .and_then(GenerationState::reason)
        .unwrap_or_default();
    assert!(reason.starts_with("the database refused"), "{reason}");
    let live = node
        .engine
        .live_rows(Scope::AllTenants, &TALLY, &[bad.as_uuid()])
        .await
        .unwrap();
    assert_eq!(live.len(), 1, "the live rows stay");
}
