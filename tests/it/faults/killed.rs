//! `kill -9` under load, again and again: what was acknowledged is in the log exactly once, what was not is there whole
//! or not at all, a repeat with an idempotency key gets the first answer, and the read models equal the log.

mod ledger;
mod load;

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use roentgen_tests::{ByHand, Client, Database, Engine, Part, Server};
use tokio::task::JoinSet;

use super::verify;
use crate::read_models::{Beside, equal_the_log};
use crate::story::{a_moment, catalog, fresh, on_both_engines};
use load::Clerk;

on_both_engines!(heavy_kill_under_load);

const KILLS: u32 = 22;
const CLERKS: u32 = 16;
/// The process is killed this long after it serves.
const MOMENTS_MS: Range<u64> = 50..400;

async fn heavy_kill_under_load(engine: Engine) -> Result<()> {
    let database = Database::new(engine).await?;
    let tenant = fresh();
    let server = Server::start(&database, &[]).await?;
    let procedure = catalog(&Client::dev(&server.base, tenant)).await?;
    let mut clerks: Vec<Clerk> = (0..CLERKS)
        .map(|it| Clerk::new(it, tenant, &procedure))
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
    let client = Client::dev(&server.base, tenant);
    for clerk in &mut clerks {
        clerk.settle(&client).await?;
        clerk.ask_again(&client).await?;
    }
    let rows = equal_the_log(&database).await?;
    let beside = Beside::open(&database).await?;
    let found = ledger::audit(&beside, tenant, &clerks).await?;
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
async fn start_again(database: &Database) -> Result<Server> {
    let mut read = ByHand::on(database, Part::Read).await?;
    read.run("DELETE FROM leases").await?;
    Server::start(database, &[]).await
}

async fn work_until_killed(
    server: Server,
    tenant: uuid::Uuid,
    clerks: Vec<Clerk>,
) -> Result<Vec<Clerk>> {
    let mut working = JoinSet::new();
    for mut clerk in clerks {
        let client = Client::dev(&server.base, tenant);
        working.spawn(async move {
            clerk.work(&client).await?;
            anyhow::Ok(clerk)
        });
    }
    // Not a wait for anything: the random moment is what is tested.
    tokio::time::sleep(a_moment(MOMENTS_MS)).await;
    server.kill()?;
    let mut clerks = Vec::new();
    while let Some(clerk) = working.join_next().await {
        clerks.push(clerk??);
    }
    Ok(clerks)
}
