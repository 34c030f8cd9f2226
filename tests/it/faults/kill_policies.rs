//! `kill -9` and SIGSTOP while studies arrive: every study has its item, its tasks and their results, once.

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
/// Delay between the start of the server and its kill, in ms.
const KILL_DELAY_MS: Range<u64> = 150..700;
/// Pause between studies, which limits their number while the test waits for a lease.
const BETWEEN_STUDIES: Duration = Duration::from_millis(50);
/// Time limit for all effects, including the lease of a dead leader.
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
        // Not a wait: the random moment is what is tested.
        tokio::time::sleep(random_delay(KILL_DELAY_MS)).await;
        server.kill()?;
        gateways = all(working).await?;
    }
    let server = start_again(&database).await?;
    settle_and_audit(&database, &server, tenant, gateways).await?;
    server.terminate()?.context("killed")?;
    Ok(())
}

/// The leading node is stopped, another one takes over, and the first one resumes in the middle of its work.
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

/// Deletes the leases and starts a server. A dead leader's lease would keep the policies idle for longer than a cycle,
/// so that they would never be killed while working.
async fn start_again(database: &TestDatabase) -> Result<Server> {
    let mut read = RawDatabase::on(database, DbFile::Read).await?;
    read.run("DELETE FROM leases").await?;
    Server::start(database, &[]).await
}

/// Waits until the policies have processed the whole log.
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

/// Waits until the policies have passed the head of the log at the time of the call.
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
