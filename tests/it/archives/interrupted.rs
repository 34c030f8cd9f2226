//! The command is killed or blocked after it wrote the file and before it changed the log.

use std::process::Stdio;

use anyhow::Result;
use roentgen_tests::server::program;
use roentgen_tests::{DbFile, RawDatabase, poll};

use super::{ArchivedLog, LAST, RESPONSE_TIMEOUT};

const ARCHIVES: &str = "SELECT count(*) FROM log_archives";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_file_and_log_it_is_run_again() -> Result<()> {
    let old = ArchivedLog::open().await?;
    let mut held = RawDatabase::on(&old.house.database, DbFile::Log).await?;
    // The command needs the lock of the partitions and waits for it for 0.5 s.
    held.run("SELECT pg_advisory_lock(hashtextextended('roentgen.partitions', 0))")
        .await?;
    let mut command = program(&old.house.database);
    command.args(["archive", "--upto", &LAST.to_string(), "--out"]);
    let mut killed = command
        .arg(&old.directory)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let [first, _] = old.files();
    let written = || async { first.exists() };
    poll::wait_until("the file is written", RESPONSE_TIMEOUT, written, |flag| {
        *flag
    })
    .await?;
    killed.kill()?;
    killed.wait()?;
    assert_eq!(held.number(ARCHIVES).await?, 0);
    assert_eq!(old.house.client.get("/events").await?.status, 200);

    held.run("SELECT pg_advisory_unlock(hashtextextended('roentgen.partitions', 0))")
        .await?;
    let written = std::fs::metadata(&first)?.modified()?;
    old.archive().await?;
    assert_eq!(
        std::fs::metadata(&first)?.modified()?,
        written,
        "it was whole"
    );
    assert_eq!(held.number(ARCHIVES).await?, 2);
    let whole = old.verified()?;
    assert_eq!(whole.code, Some(0), "{}", whole.printed);
    Ok(())
}

/// An open read transaction blocks the change of the log; the command does not wait for it, and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_up_by_a_reader_it_gives_up_whole() -> Result<()> {
    let old = ArchivedLog::open().await?;
    let mut reader = RawDatabase::on(&old.house.database, DbFile::Log).await?;
    reader.run("BEGIN").await?;
    reader.number("SELECT count(*) FROM events").await?;
    let gave_up = || async { old.try_to_archive() };
    let in_the_way = poll::wait_until("it gives up", RESPONSE_TIMEOUT, gave_up, |ran| {
        ran.as_ref()
            .is_ok_and(|output| output.printed.contains("lock timeout"))
    });
    assert_eq!(in_the_way.await??.code, Some(70));
    assert_eq!(reader.number(ARCHIVES).await?, 0);
    old.house.create_order(serde_json::json!({})).await?;
    reader.run("ROLLBACK").await?;
    old.archive().await?;
    assert_eq!(old.verified()?.code, Some(0));
    Ok(())
}
