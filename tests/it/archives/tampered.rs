//! Tampering with an archive, or with the log before it is archived.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use roentgen_tests::{DbFile, RawDatabase};

use super::{ArchivedLog, LAST};

/// Flips a bit of the first occurrence of `what`: in its column, which precedes the minimum and maximum in the file's
/// footer.
fn flip(file: &Path, what: &[u8]) -> Result<()> {
    let mut bytes = std::fs::read(file)?;
    let at = bytes.windows(what.len()).position(|bytes| bytes == what);
    bytes[at.context("it is not in the file as it is")?] ^= 1;
    Ok(std::fs::write(file, bytes)?)
}

/// Checks that `verify` with the archive fails and prints all of this.
fn finds(old: &ArchivedLog, said: &[&str]) -> Result<()> {
    let found = old.verified()?;
    ensure!(found.code == Some(1), "{}", found.printed);
    for said in said {
        ensure!(
            found.printed.contains(said),
            "{said} is not in: {}",
            found.printed
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_file_is_named_with_the_position() -> Result<()> {
    let old = ArchivedLog::open().await?;
    let feed = old
        .house
        .client
        .get("/events?after=12&limit=1")
        .await?
        .lines();
    let position = feed[0]["position"].to_string();
    let hash = feed[0]["hash"].as_str();
    let hash: Vec<u8> = (0..64)
        .step_by(2)
        .map(|at| u8::from_str_radix(&hash.unwrap_or_default()[at..at + 2], 16))
        .collect::<Result<_, _>>()?;
    old.archive().await?;
    let [_, file] = old.files();
    let whole = std::fs::read(&file)?;
    let named = format!("position {position} in");
    flip(&file, &hash)?;
    finds(&old, &[&named, "events-000000000010-"])?;
    std::fs::write(&file, &whole)?;
    assert_eq!(old.verified()?.code, Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_file_is_named_with_its_positions() -> Result<()> {
    let old = ArchivedLog::archived().await?;
    let [first, second] = old.files();
    std::fs::remove_file(&second)?;
    finds(
        &old,
        &["events-000000000010-", "not found", "positions 10 to 19"],
    )?;
    std::fs::copy(&first, &second)?;
    finds(&old, &["position 10 in"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_log_keeps_is_compared_with_the_archive() -> Result<()> {
    let old = ArchivedLog::archived().await?;
    let mut log = RawDatabase::on(&old.house.database, DbFile::Log).await?;
    log.drop_append_only_triggers().await?;
    let forged = "UPDATE events SET hash = sha256(hash) WHERE position = 1";
    assert_eq!(log.run(forged).await?, 1);
    finds(&old, &["position 1 in", "retained event differs"])?;
    let forged = "UPDATE events SET schema_version = 2 WHERE position = 1";
    assert_eq!(log.run(forged).await?, 1);
    let alone = crate::faults::run(&old.house.database, &["verify"])?;
    assert_eq!(alone.code, Some(1), "{}", alone.printed);
    assert!(alone.printed.contains("position 1:"), "{}", alone.printed);
    Ok(())
}

/// The chain is verified through the file before anything leaves the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_log_is_not_archived() -> Result<()> {
    let old = ArchivedLog::open().await?;
    let mut log = RawDatabase::on(&old.house.database, DbFile::Log).await?;
    log.drop_append_only_triggers().await?;
    let altered =
        "UPDATE events SET metadata = replace(metadata::text, '}', ' }')::json WHERE position = 5";
    assert_eq!(log.run(altered).await?, 1);
    let ran = old.try_to_archive()?;
    assert_eq!(ran.code, Some(70), "{}", ran.printed);
    assert!(ran.printed.contains("position 5:"), "{}", ran.printed);
    assert_eq!(log.number("SELECT count(*) FROM log_archives").await?, 0);
    let there = format!("SELECT count(*) FROM events WHERE position <= {LAST}");
    assert_eq!(log.number(&there).await?, i64::try_from(LAST)?);
    Ok(())
}
