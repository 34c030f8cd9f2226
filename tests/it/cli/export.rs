//! `roentgen export`: the log as files.

mod errors;
mod formats;

use anyhow::{Context as _, Result, ensure};
use roentgen_store::chain::{GENESIS, hex, link};
use roentgen_tests::server::program;
use roentgen_tests::{EngineKind, TestDatabase};
use serde_json::{Map, Value, json};
use std::os::unix::fs::PermissionsExt as _;

use crate::faults::{CommandOutput, run};
use crate::leak_scan::{assert_absent, assert_present};
use crate::test_app::{TestApp, on_both_engines};
use crate::workflow::full_workflow::{PhiCanaries, run_workflow};
use formats::{COLUMNS, ExportFormat};

on_both_engines!(
    export_equals_feed,
    are_chained_and_hold_no_phi,
    go_on_where_the_last_run_came_to,
    end_quietly_where_nobody_reads,
);

/// Exports into a file in the database's directory. Returns the rows of the file and the output of the command.
fn export(
    database: &TestDatabase,
    form: ExportFormat,
    after: u64,
    name: &str,
) -> Result<(Vec<Value>, CommandOutput)> {
    let path = database.directory().join(name);
    let file = path.display().to_string();
    let after = after.to_string();
    let arguments = ["--format", form.name(), "--after", &after, "--out", &file];
    let ran = run(database, &[&["export"], &arguments[..]].concat())?;
    ensure!(ran.code == Some(0), "{}", ran.printed);
    Ok((form.rows(&path)?, ran))
}

/// Returns the position that a run reports as its last.
fn came_to(ran: &CommandOutput) -> Result<u64> {
    let (_, told) = ran.printed.rsplit_once("--after ").context("not told")?;
    Ok(told.trim().parse()?)
}

/// Policies may append after the workflow has ended: the log may be longer, with the same events before.
async fn export_equals_feed(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    run_workflow(&house, &PhiCanaries::default()).await?;
    let operator = house.operator()?;
    for form in ExportFormat::ALL {
        let (rows, ran) = export(&house.database, form, 0, form.name())?;
        let feed = operator.get("/events?limit=5000").await?.lines();
        let there: Vec<Value> = rows.iter().map(in_the_feeds_shape).collect();
        assert!(there.len() > 30, "{form:?}: {}", ran.printed);
        assert_eq!(there, feed[..there.len()], "{form:?}");
        assert_eq!(came_to(&ran)?, u64::try_from(there.len())?, "{form:?}");
        assert!(rows.iter().any(|row| row["causation_id"].is_string()));
        for row in &rows {
            let columns = row
                .as_object()
                .map(|object| object.keys().cloned().collect());
            let mut expected = COLUMNS.map(|(name, _)| name.to_owned()).to_vec();
            expected.sort_unstable();
            assert_eq!(columns, Some(expected), "{form:?}");
        }
    }
    Ok(())
}

/// Converts a row to an envelope of the feed.
fn in_the_feeds_shape(row: &Value) -> Value {
    let mut envelope: Map<String, Value> = row.as_object().cloned().unwrap_or_default();
    envelope.remove("leaf");
    let stream_type = envelope.remove("stream_type");
    let stream_id = envelope.remove("stream_id");
    envelope.insert(
        "stream".to_owned(),
        json!({ "type": stream_type, "id": stream_id }),
    );
    envelope.retain(|_, value| !value.is_null());
    envelope.into()
}

async fn are_chained_and_hold_no_phi(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let words = PhiCanaries::default();
    run_workflow(&house, &words).await?;
    for form in ExportFormat::ALL {
        let (rows, _) = export(&house.database, form, 0, form.name())?;
        let path = house.database.directory().join(form.name());
        let mode = path.metadata()?.permissions().mode();
        assert_eq!(mode & 0o077, 0, "others may read {mode:o}");
        assert_absent(&words.said(), "the file", &std::fs::read(&path)?)?;
        let read_back = serde_json::to_vec(&rows)?;
        assert_absent(&words.said(), "the rows", &read_back)?;
        assert_present(&["Main archive"], "the rows", &read_back)?;
        for phi in ["sealed", "open"] {
            assert!(rows.iter().any(|row| row["phi"] == phi), "{form:?}: {phi}");
        }
        let mut hash = GENESIS;
        for (row, position) in rows.iter().zip(1..) {
            let leaf = digest(&row["leaf"])?;
            hash = link(&hash, position, recorded_at_ms(row)?, &leaf);
            assert_eq!(row["hash"], hex(&hash), "{form:?} at {position}");
        }
    }
    Ok(())
}

fn digest(hexadecimal: &Value) -> Result<[u8; 32]> {
    let text = hexadecimal.as_str().context("no text")?;
    let bytes: Result<Vec<u8>, _> = (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16))
        .collect();
    bytes?.try_into().ok().context("no digest")
}

fn recorded_at_ms(row: &Value) -> Result<i64> {
    let time: roentgen_domain::Timestamp = serde_json::from_value(row["recorded_at"].clone())?;
    Ok(time.as_millis())
}

async fn go_on_where_the_last_run_came_to(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for form in ExportFormat::ALL {
        let (first, ran) = export(&house.database, form, 0, &format!("first.{}", form.name()))?;
        let name = format!("nothing.{}", form.name());
        let (nothing, again) = export(&house.database, form, came_to(&ran)?, &name)?;
        assert_eq!((nothing.len(), came_to(&again)?), (0, came_to(&ran)?));
        for _ in 0..3 {
            house.create_order(json!({})).await?;
        }
        let name = format!("second.{}", form.name());
        let (second, rerun) = export(&house.database, form, came_to(&again)?, &name)?;
        let name = format!("whole.{}", form.name());
        let (whole, _) = export(&house.database, form, 0, &name)?;
        let there = first.len() + second.len();
        let told = came_to(&rerun)?;
        assert!(second.len() >= 3, "{}", rerun.printed);
        assert_eq!([first, second].concat(), whole[..there], "{form:?}");
        assert_eq!(u64::try_from(there)?, told, "{form:?}");
    }
    Ok(())
}

/// The reader closes the pipe before the first line is written.
async fn end_quietly_where_nobody_reads(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let ended = program(&house.database)
        .args(["export", "--format", "ndjson"])
        .stdout(writer)
        .output()?;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(String::from_utf8(ended.stderr)?, "");
    let printed = program(&house.database)
        .args(["export", "--format", "ndjson"])
        .output()?;
    let path = house.database.directory().join("file");
    let told = printed.stderr;
    std::fs::write(&path, printed.stdout)?;
    let rows = ExportFormat::Ndjson.rows(&path)?.len();
    let told = String::from_utf8(told)?;
    let expected =
        format!("exported {rows} events up to position {rows}; continue with --after {rows}\n");
    assert_eq!(told, expected, "and no progress where there is no terminal");
    Ok(())
}
