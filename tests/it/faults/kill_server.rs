//! `kill -9` under load, again and again: what was acknowledged is in the log exactly once, what was not is there whole
//! or not at all, a repeat with an idempotency key gets the first answer, and the read models equal the log.

mod audit;
mod load;

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use roentgen_tests::{DbFile, EngineKind, RawDatabase, Server, TestClient, TestDatabase};
use tokio::task::JoinSet;

use super::verify;
use crate::read_model_audit::{OfflineDatabase, assert_match_log};
use crate::test_app::{create_catalog, fresh, on_both_engines, random_delay};
use load::OrderClient;

on_both_engines!(heavy_kill_under_load);

const KILLS: u32 = 22;
const CLERKS: u32 = 16;
/// The process is killed this long after it serves.
const KILL_DELAY_MS: Range<u64> = 50..400;

async fn heavy_kill_under_load(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let tenant = fresh();
    let server = Server::start(&database, &[]).await?;
    let procedure = create_catalog(&TestClient::dev(&server.base, tenant)).await?;
    let mut clerks: Vec<OrderClient> = (0..CLERKS)
        .map(|number| OrderClient::new(number, tenant, &procedure))
        .collect();
    let mut running = Some(server);
    for _ in 0..KILLS {
        let server = match running.take() {
            Some(server) => server,
            None => start_again(&database).await?,
        };
        clerks = work_until_killed(server, tenant, clerks).await?;
    }
    let server = start_again(&database).await?;
    let client = TestClient::dev(&server.base, tenant);
    for clerk in &mut clerks {
        clerk.settle(&client).await?;
        clerk.ask_again(&client).await?;
    }
    let rows = assert_match_log(&database).await?;
    let beside = OfflineDatabase::open(&database).await?;
    let found = audit::audit(&beside, tenant, &clerks).await?;
    beside.close().await;
    verify(&database)?;
    eprintln!("{engine:?}: {KILLS} kills, {rows} rows equal their folds, {found:?}");
    ensure!(
        found.acknowledged > 200 && found.repeated_and_written_before > 0,
        "too little load to prove anything: {found:?}"
    );
    server.terminate()?.context("killed")?;
    Ok(())
}

/// A dead leader's lease would keep the projector off for longer than a cycle lasts: it is taken away, so that the
/// projector too is killed at its work.
async fn start_again(database: &TestDatabase) -> Result<Server> {
    let mut read = RawDatabase::on(database, DbFile::Read).await?;
    read.run("DELETE FROM leases").await?;
    Server::start(database, &[]).await
}

async fn work_until_killed(
    server: Server,
    tenant: uuid::Uuid,
    clerks: Vec<OrderClient>,
) -> Result<Vec<OrderClient>> {
    let mut working = JoinSet::new();
    for mut clerk in clerks {
        let client = TestClient::dev(&server.base, tenant);
        working.spawn(async move {
            clerk.work(&client).await?;
            anyhow::Ok(clerk)
        });
    }
    // Not a wait for anything: the random moment is what is tested.
    tokio::time::sleep(random_delay(KILL_DELAY_MS)).await;
    server.kill()?;
    let mut clerks = Vec::new();
    while let Some(clerk) = working.join_next().await {
        clerks.push(clerk??);
    }
    Ok(clerks)
}
