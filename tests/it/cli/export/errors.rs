//! Exports that fail: the reason is printed, and no file is left behind.

use std::path::Path;

use anyhow::Result;
use roentgen_tests::{DbFile, EngineKind, RawDatabase, TestDatabase};

use super::formats::ExportFormat;
use crate::assertions::log_head;
use crate::faults::run;
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(
    replaces_files_only_where_it_is_told_to,
    names_what_is_wrong,
    names_a_hole_in_the_log,
);

/// Returns the exit code and the output.
fn export(database: &TestDatabase, out: &Path, further: &[&str]) -> Result<(Option<i32>, String)> {
    let out = out.display().to_string();
    let arguments = ["export", "--format", "ndjson", "--out", &out];
    let ran = run(database, &[&arguments[..], further].concat())?;
    Ok((ran.code, ran.printed))
}

/// Returns the files of unfinished exports.
fn unfinished(directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name.contains("roentgen-export") || name.ends_with(".part"));
    Ok(names)
}

async fn replaces_files_only_where_it_is_told_to(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let directory = house.database.directory();
    let file = directory.join("file");
    let link = directory.join("link");
    std::fs::write(&file, "mine")?;
    std::os::unix::fs::symlink(&file, &link)?;
    for (out, further, named) in [
        (&file, &[][..], "already exists"),
        (&link, &[], "already exists"),
        (&link, &["--force"], "is not a regular file"),
        (&directory, &["--force"], "is not a regular file"),
    ] {
        let (code, printed) = export(&house.database, out, further)?;
        assert_eq!(code, Some(70), "{printed}");
        assert!(printed.contains(named), "{printed}");
        assert_eq!(std::fs::read_to_string(&file)?, "mine");
    }
    let (code, printed) = export(&house.database, &file, &["--force"])?;
    assert_eq!(code, Some(0), "{printed}");
    assert!(!ExportFormat::Ndjson.rows(&file)?.is_empty());
    assert_eq!(unfinished(&directory)?, [""; 0]);
    Ok(())
}

async fn names_what_is_wrong(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let directory = house.database.directory();
    let nowhere = directory.join("no/such/file");
    let out = directory.join("out");
    let (code, printed) = export(&house.database, &nowhere, &[])?;
    assert_eq!(code, Some(70), "{printed}");
    assert!(printed.contains("no/such/file"), "{printed}");
    let after = (log_head(&house.client).await? + 1000).to_string();
    let (code, printed) = export(&house.database, &out, &["--after", &after])?;
    assert_eq!(code, Some(70), "{printed}");
    assert!(printed.contains("log ends at position"), "{printed}");
    for wrong in [
        &["export"][..],
        &["export", "--format", "csv"],
        &["export", "--format", "parquet"],
        &["export", "--format", "ndjson", "--after", "-1"],
        &[
            "export",
            "--format",
            "ndjson",
            "--after",
            "9223372036854775808",
        ],
        &["export", "--format", "ndjson", "--force"],
    ] {
        let ran = run(&house.database, wrong)?;
        assert_eq!(ran.code, Some(64), "{wrong:?}: {}", ran.printed);
    }
    assert!(!out.exists());
    Ok(())
}

async fn names_a_hole_in_the_log(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let head = log_head(&house.client).await?;
    let mut log = RawDatabase::on(&house.database, DbFile::Log).await?;
    match engine {
        EngineKind::Sqlite => log
            .run("DROP TRIGGER events_are_never_deleted")
            .await
            .map(drop)?,
        EngineKind::Postgres => log.drop_append_only_triggers().await?,
    }
    let position = head - 1;
    let removed = format!("DELETE FROM events WHERE position = {position}");
    assert_eq!(log.run(&removed).await?, 1);
    let out = house.database.directory().join("out");
    let (code, printed) = export(&house.database, &out, &[])?;
    assert_eq!(code, Some(70), "{printed}");
    let named = format!("position {position} is missing");
    assert!(printed.contains(&named), "{printed}");
    assert!(!out.exists());
    assert_eq!(unfinished(&house.database.directory())?, [""; 0]);
    Ok(())
}
