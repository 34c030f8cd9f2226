//! `kill -9` and SIGSTOP while studies arrive: every study has its item, its tasks and what they found, once.

pub(crate) mod audit;
pub(crate) mod load;

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use roentgen_commands::policies::POLICIES;
use roentgen_tests::{DbFile, EngineKind, RawDatabase, Server, TestClient, TestDatabase, poll};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::verify;
use crate::read_model_audit::OfflineDatabase;
use crate::test_app::{create_catalog, fresh, on_both_engines, random_delay};
use load::{Gateway, furnish};

on_both_engines!(heavy_kill_while_studies_arrive);

const KILLS: u32 = 22;
const GATEWAYS: u32 = 8;
/// The process is killed this long after it serves.
const KILL_DELAY_MS: Range<u64> = 150..700;
/// While a lease is waited for, there need not be thousands.
const BETWEEN_STUDIES: Duration = Duration::from_millis(50);
/// How long all that follows may take, a dead leader's lease included.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

async fn heavy_kill_while_studies_arrive(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let tenant = fresh();
    let server = Server::start(&database, &[]).await?;
    let mut gateways = open(&TestClient::dev(&server.base, tenant), tenant).await?;
    let mut running = Some(server);
    for _ in 0..KILLS {
        let server = match running.take() {
            Some(server) => server,
            None => start_again(&database).await?,
        };
        let working = work(&server, tenant, Duration::ZERO, gateways);
        // Not a wait for anything: the random moment is what is tested.
        tokio::time::sleep(random_delay(KILL_DELAY_MS)).await;
        server.kill()?;
        gateways = all(working).await?;
    }
    let server = start_again(&database).await?;
    settle_and_audit(&database, &server, tenant, gateways).await?;
    server.terminate()?.context("killed")?;
    Ok(())
}

/// The node that leads is stopped, another takes over, and the first one wakes up in the middle of what it was doing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_stop_of_the_leader_while_studies_arrive() -> Result<()> {
    let database = TestDatabase::new(EngineKind::Postgres).await?;
    let tenant = fresh();
    let leads = Server::start(&database, &[]).await?;
    let mut gateways = open(&TestClient::dev(&leads.base, tenant), tenant).await?;
    settled(&database).await?;
    let other = Server::start(&database, &[]).await?;
    let mut stopped = &leads;
    let mut goes_on = &other;
    for _ in 0..3 {
        let working = work(goes_on, tenant, BETWEEN_STUDIES, gateways);
        tokio::time::sleep(random_delay(KILL_DELAY_MS)).await;
        stopped.signal("STOP")?;
        taken_over(&database).await?;
        stopped.signal("CONT")?;
        tokio::time::sleep(random_delay(KILL_DELAY_MS)).await;
        working.1.cancel();
        gateways = all(working).await?;
        std::mem::swap(&mut stopped, &mut goes_on);
    }
    settle_and_audit(&database, goes_on, tenant, gateways).await?;
    for server in [leads, other] {
        server.terminate()?.context("killed")?;
    }
    Ok(())
}

async fn open(client: &TestClient, tenant: Uuid) -> Result<Vec<Gateway>> {
    let procedure = create_catalog(client).await?;
    furnish(client).await?;
    Ok((0..GATEWAYS)
        .map(|number| Gateway::new(number, tenant, &procedure))
        .collect())
}

type Working = (
    JoinSet<Result<Gateway>>,
    tokio_util::sync::CancellationToken,
);

fn work(server: &Server, tenant: Uuid, pause: Duration, gateways: Vec<Gateway>) -> Working {
    let mut working = JoinSet::new();
    let enough = tokio_util::sync::CancellationToken::new();
    for mut gateway in gateways {
        let client = TestClient::dev(&server.base, tenant);
        let enough = enough.clone();
        working.spawn(async move {
            gateway.work(&client, pause, &enough).await?;
            anyhow::Ok(gateway)
        });
    }
    (working, enough)
}

async fn all((mut working, _): Working) -> Result<Vec<Gateway>> {
    let mut gateways = Vec::new();
    while let Some(gateway) = working.join_next().await {
        gateways.push(gateway??);
    }
    Ok(gateways)
}

async fn settle_and_audit(
    database: &TestDatabase,
    server: &Server,
    tenant: Uuid,
    mut gateways: Vec<Gateway>,
) -> Result<()> {
    let client = TestClient::dev(&server.base, tenant);
    settled(database).await?;
    for gateway in &mut gateways {
        gateway.settle(&client).await?;
    }
    settled(database).await?;
    let found = audit::audit(database, &gateways).await?;
    verify(database)?;
    eprintln!("{:?}: {found:?}", database.engine);
    ensure!(
        found.studies > 100 && found.contributions > 100 && found.completed > 10,
        "too little load to prove anything: {found:?}"
    );
    Ok(())
}

/// A dead leader's lease would keep the policies off for longer than a cycle lasts: it is taken away, so that they too
/// are killed at their work.
async fn start_again(database: &TestDatabase) -> Result<Server> {
    let mut read = RawDatabase::on(database, DbFile::Read).await?;
    read.run("DELETE FROM leases").await?;
    Server::start(database, &[]).await
}

/// Waits until all that follows from what is in the log is done.
pub(crate) async fn settled(database: &TestDatabase) -> Result<()> {
    let beside = OfflineDatabase::open(database).await?;
    let log = &beside.log;
    let lag = async || {
        let checkpoint = log.checkpoint(POLICIES).await?;
        let head = log.head().await?;
        anyhow::Ok(head.position.abs_diff(checkpoint.position))
    };
    let done = |result: &Result<u64>| result.as_ref().is_ok_and(|lag| *lag == 0);
    poll::wait_until("the policies' lag", WAIT_TIMEOUT, lag, done).await??;
    beside.close().await;
    Ok(())
}

/// Waits until the policies are further than they were when the leader was stopped, and some.
async fn taken_over(database: &TestDatabase) -> Result<()> {
    let beside = OfflineDatabase::open(database).await?;
    let log = &beside.log;
    let stood = log.head().await?.position;
    let position = async || anyhow::Ok(log.checkpoint(POLICIES).await?.position);
    let beyond = |result: &Result<u64>| result.as_ref().is_ok_and(|number| *number > stood);
    poll::wait_until("the other node's policies", WAIT_TIMEOUT, position, beyond).await??;
    beside.close().await;
    Ok(())
}
