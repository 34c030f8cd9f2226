//! `roentgen archive`: what leaves the log, what remains, and how requests for archived events are rejected. PostgreSQL
//! only.

mod interrupted;
mod reads_past_boundary;
mod tampered;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use roentgen_tests::{EngineKind, TestDatabase, poll};
use serde_json::json;

use crate::faults::{CommandOutput, run};
use crate::test_app::TestApp;

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

/// Number of events per partition; the first one has one less, since positions start at 1.
const SIZE: u64 = 10;

/// Last position to archive: the end of the second partition.
const LAST: u64 = 2 * SIZE - 1;

/// Test app whose first two partitions can be archived.
struct ArchivedLog {
    house: TestApp,
    /// Order of the first partition that is still open.
    forgotten: String,
    /// Order that starts in the first partition and has an event after the second.
    living: String,
    directory: PathBuf,
}

impl ArchivedLog {
    async fn open() -> Result<Self> {
        let house = TestApp::start_partitioned(SIZE).await?;
        let forgotten = house.create_order_in_status("requested").await?;
        let living = house.create_order_in_status("requested").await?;
        while crate::assertions::log_head(&house.client).await? < LAST + 3 {
            house.create_order(json!({})).await?;
        }
        let moved = json!({ "status": "scheduled" });
        assert_eq!(house.client.patch(&living, &moved).await?.status, 200);
        let directory = house.database.directory().join("archive");
        std::fs::create_dir(&directory)?;
        Ok(Self {
            house,
            forgotten,
            living,
            directory,
        })
    }

    /// Archives the first two partitions.
    async fn archived() -> Result<Self> {
        let old = Self::open().await?;
        old.archive().await?;
        Ok(old)
    }

    fn try_to_archive(&self) -> Result<CommandOutput> {
        let upto = LAST.to_string();
        let out = self.directory.display().to_string();
        run(
            &self.house.database,
            &["archive", "--upto", &upto, "--out", &out],
        )
    }

    /// Retries until the log's readers have passed the partitions and no transaction locks them.
    async fn archive(&self) -> Result<CommandOutput> {
        let asked = || async { self.try_to_archive() };
        let later = ["readers have not passed position", "lock timeout"];
        let ended = |ran: &Result<CommandOutput>| {
            ran.as_ref()
                .is_ok_and(|ran| !later.iter().any(|text| ran.printed.contains(text)))
        };
        let ran = poll::wait_until("what reads the log is past", RESPONSE_TIMEOUT, asked, ended)
            .await??;
        ensure!(ran.code == Some(0), "{}", ran.printed);
        Ok(ran)
    }

    /// Runs `verify` with the archive.
    fn verified(&self) -> Result<CommandOutput> {
        let directory = self.directory.display().to_string();
        run(&self.house.database, &["verify", "--archive", &directory])
    }

    fn files(&self) -> [PathBuf; 2] {
        [
            "events-000000000001-000000000009.parquet",
            "events-000000000010-000000000019.parquet",
        ]
        .map(|text| self.directory.join(text))
    }
}

#[tokio::test]
async fn sqlite_is_refused_by_name() -> Result<()> {
    let database = TestDatabase::new(EngineKind::Sqlite).await?;
    assert_eq!(run(&database, &["migrate"])?.code, Some(0));
    let ran = run(&database, &["archive", "--upto", "10", "--out", "."])?;
    assert_eq!(ran.code, Some(70), "{}", ran.printed);
    assert!(ran.printed.contains("no partitions"), "{}", ran.printed);
    Ok(())
}
