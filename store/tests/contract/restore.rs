//! Restored copies of the database.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use roentgen_store::checkpoint::{CheckpointAhead, checkpoint_mismatch};
use roentgen_store::error::StoreError;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::builders::{claim, key, key_of, patient, stream, tenant, to};
use crate::harness::{
    ContractDatabase, ContractNode, DbFile, EngineKind, verified_log, wait_until,
};
use crate::tally_projection::{self, TALLY, project, rows};

on_both_engines!(
    a_copy_goes_on_densely_where_it_was_taken,
    read_models_ahead_of_the_log_are_refused_by_name,
);

const PARTS: [DbFile; 3] = [DbFile::Log, DbFile::Read, DbFile::Keys];

/// Returns a program of PostgreSQL, from `PATH` or from Debian's directory.
fn postgres_program(name: &str) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut places: Vec<_> = versions
        .map(|version| version.unwrap().path().join("bin").join(name))
        .collect();
    places.sort();
    let found = places.into_iter().rfind(|path| path.is_file());
    Command::new(found.unwrap_or_else(|| name.into()))
}

fn run(command: &mut Command) {
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {told}");
}

/// Writes the output of `pg_dump`, or a SQLite file through `VACUUM INTO`, while writers run.
async fn back_up(bed: &ContractDatabase, part: DbFile, to: &Path) {
    match bed.kind {
        EngineKind::Sqlite => {
            let mut shell = bed.shell(part).await;
            let copy = AssertSqlSafe(format!("VACUUM INTO '{}'", to.display()));
            sqlx::raw_sql(copy).execute(&mut shell).await.unwrap();
            shell.close().await.unwrap();
        }
        EngineKind::Postgres => {
            let mut dump = postgres_program("pg_dump");
            dump.args(["--format=custom", "--file"])
                .arg(to)
                .arg(bed.url());
            if part == DbFile::Read {
                dump.arg("--schema=read");
            }
            run(&mut dump);
        }
    }
}

async fn restore(bed: &ContractDatabase, part: DbFile, from: &Path) {
    match bed.kind {
        EngineKind::Sqlite => {
            std::fs::copy(from, bed.file(part)).unwrap();
            let private = Permissions::from_mode(0o600);
            std::fs::set_permissions(bed.file(part), private).unwrap();
        }
        EngineKind::Postgres => {
            if part == DbFile::Read {
                bed.tamper("DROP SCHEMA read CASCADE").await;
            }
            let mut restore = postgres_program("pg_restore");
            run(restore
                .args(["--exit-on-error", "--dbname"])
                .arg(bed.url())
                .arg(from));
        }
    }
}

async fn some_appends(node: &ContractNode) {
    for _ in 0..10 {
        node.append(to(stream(), 0, 2)).await.unwrap();
    }
}

/// The copy is taken while the node writes.
async fn a_copy_goes_on_densely_where_it_was_taken(bed: &ContractDatabase) {
    let node = bed.node().await;
    let known = stream();
    let taken = key();
    let keyed = patient();
    let mut first = to(known, 0, 2);
    first.claims = vec![claim(taken, known)];
    first.patient_keys = vec![key_of(keyed)];
    node.append(first).await.unwrap();
    let copies = async {
        // SQLite's keys are copied last: the copy of the log has no event without its key.
        let parts: &[DbFile] = match bed.kind {
            EngineKind::Sqlite => &[DbFile::Read, DbFile::Log, DbFile::Keys],
            EngineKind::Postgres => &[DbFile::Log],
        };
        for part in parts {
            back_up(bed, *part, &bed.scratch(&format!("{part:?}"))).await;
        }
    };
    tokio::join!(copies, some_appends(&node));
    node.stop().await;

    let copy = ContractDatabase::empty(bed.kind).await;
    for part in PARTS {
        let from = bed.scratch(&format!("{part:?}"));
        if from.exists() {
            restore(&copy, part, &from).await;
        }
    }
    let engine = copy.connect().await;
    engine.migrate().await.unwrap();
    let node = ContractNode::with_engine(engine).await;
    let log = verified_log(&*node.engine).await;
    let head = log.len() as u64;
    assert!(head >= 2);
    assert_eq!(
        node.append(to(stream(), 0, 3)).await.unwrap().position,
        head + 3
    );
    assert_eq!(
        node.append(to(known, 2, 1)).await.unwrap().position,
        head + 4
    );
    let late = node.append(to(known, 0, 1)).await;
    assert!(
        matches!(late, Err(StoreError::Conflict { actual: 3, .. })),
        "{late:?}"
    );
    let mut again = to(stream(), 0, 1);
    again.claims = vec![claim(taken, known)];
    let claimed = node.append(again).await;
    assert!(
        matches!(claimed, Err(StoreError::KeyTaken(held)) if held.stream_id == known),
        "{claimed:?}"
    );
    let keys = node
        .engine
        .patient_keys(&[(tenant(), keyed)])
        .await
        .unwrap();
    assert!(keys[0].key.is_some());
    assert_eq!(verified_log(&*node.engine).await.len() as u64, head + 4);
}

/// An old log under newer read models: resuming from their checkpoint would silently skip the events that are written
/// next.
async fn read_models_ahead_of_the_log_are_refused_by_name(bed: &ContractDatabase) {
    let node = bed.node().await;
    some_appends(&node).await;
    back_up(bed, DbFile::Log, &bed.scratch("yesterday")).await;
    some_appends(&node).await;
    let (progress, _) = project(&node, "leader").await;
    let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    assert_eq!(progress.wait_for(40, soon).await, 40);
    let log = verified_log(&*node.engine).await;
    let shown = rows(&*node.engine, &log).await;
    node.stop().await;
    back_up(bed, DbFile::Read, &bed.scratch("today")).await;
    if bed.kind == EngineKind::Sqlite {
        back_up(bed, DbFile::Keys, &bed.scratch("keys")).await;
    }

    let mixed = ContractDatabase::empty(bed.kind).await;
    restore(&mixed, DbFile::Log, &bed.scratch("yesterday")).await;
    restore(&mixed, DbFile::Read, &bed.scratch("today")).await;
    if bed.kind == EngineKind::Sqlite {
        restore(&mixed, DbFile::Keys, &bed.scratch("keys")).await;
    }
    let engine = mixed.connect().await;
    engine.migrate().await.unwrap();
    let node = ContractNode::with_engine(engine).await;
    assert_eq!(verified_log(&*node.engine).await.len(), 20);
    let checkpoint = tally_projection::checkpoint(&*node.engine).await;
    let refused = |found| CheckpointAhead {
        projection: TALLY.schema_name(),
        position: 40,
        found,
    };
    let found = checkpoint_mismatch(&*node.engine, &TALLY.schema_name(), checkpoint)
        .await
        .unwrap();
    assert_eq!(found, Some(refused("ends earlier")));
    let (progress, _) = project(&node, "leader").await;
    assert_eq!(progress.halt_reason(), found, "known before anybody reads");

    // The log grows past the checkpoint, with other events.
    some_appends(&node).await;
    some_appends(&node).await;
    let found = Some(refused("has a different event there"));
    wait_until(
        "the projector's refusal",
        async || progress.halt_reason(),
        |ahead| *ahead == found,
    )
    .await;
    assert_eq!(
        tally_projection::checkpoint(&*node.engine).await,
        checkpoint
    );
    assert_eq!(rows(&*node.engine, &log).await, shown);
    verified_log(&*node.engine).await;
}
