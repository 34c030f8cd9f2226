//! Repeated `kill -9` under load: acknowledged commands are in the log exactly once, unacknowledged ones completely or
//! not at all, an idempotent retry gets the first response, and the read models equal the log.

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
/// Delay between the start of the server and its kill, in ms.
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

/// Deletes the leases and starts a server. A dead leader's lease would keep the projector idle for longer than a cycle,
/// so that it would never be killed while working.
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
    // Not a wait: the random moment is what is tested.
    tokio::time::sleep(random_delay(KILL_DELAY_MS)).await;
    server.kill()?;
    let mut clerks = Vec::new();
    while let Some(clerk) = working.join_next().await {
        clerks.push(clerk??);
    }
    Ok(clerks)
}
