//! A rolling restart: one node after the other shuts down on request and is replaced by a new process.

use std::time::Duration;

use anyhow::Result;
use roentgen_tests::poll;

use super::audit;
use super::failover_client::{AllowedFailures, ClientGroup, ClientStats};
use super::load::PatientWorkload;
use super::test_cluster::TestCluster;
use crate::relay::holds_the_log;

const CLIENTS: usize = 16;
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Number of responses before each restart, so that clients are active when it happens.
const AT_WORK: u32 = 20;
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Clients that retry see only refused connections and 503.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_restart_of_one_node_after_the_other() -> Result<()> {
    let mut fleet = TestCluster::start(3).await?;
    let (wards, met) = fleet.wards(CLIENTS, (RESPONSE_TIMEOUT, AllowedFailures::NobodyListens));
    let crowd = ClientGroup::start(wards, PatientWorkload::work);
    for round in 0..2 {
        for node in 0..fleet.len() {
            at_work(&met).await?;
            fleet.restart(node).await?;
            fleet.leader().await?;
            eprintln!("round {round}: node {node} is there again");
        }
    }
    let wards = crowd.join_all().await?;
    eprintln!("{}", met.told());
    audit::whole(&fleet.database, &wards).await?;
    holds_the_log(&fleet.nats, &fleet.database).await?;
    Ok(())
}

async fn at_work(met: &ClientStats) -> Result<()> {
    let before = met.answers();
    let more = async || met.answers() - before;
    poll::wait_until("clients at work", WAIT_TIMEOUT, more, |number| {
        *number >= AT_WORK
    })
    .await?;
    Ok(())
}
