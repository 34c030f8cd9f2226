//! Three nodes and 32 clients; every few seconds one of the nodes is killed, or stopped for longer than its lease
//! lasts.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::audit;
use super::failover_client::{AllowedFailures, ClientGroup};
use super::load::PatientWorkload;
use super::test_cluster::TestCluster;
use crate::relay::holds_the_log;
use crate::test_app::fresh;

const CLIENTS: usize = 32;
/// Longer than a command's deadline, and shorter than a node is stopped.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);
const KILLS: usize = 4;
const STOPS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_kill_and_stop_of_one_of_three_nodes() -> Result<()> {
    let mut fleet = TestCluster::start(3).await?;
    fleet.leader().await?;
    let (wards, met) = fleet.wards(CLIENTS, (RESPONSE_TIMEOUT, AllowedFailures::Any));
    let crowd = ClientGroup::start(wards, PatientWorkload::work);
    for turn in 0..KILLS.max(STOPS) {
        if turn < STOPS {
            stop_beyond_the_lease(&fleet).await?;
        }
        if turn < KILLS {
            kill_one(&mut fleet, turn).await?;
        }
    }
    fleet.leader().await?;
    let meanwhile = met.answers();
    let wards = crowd.join_all().await?;
    audit::whole(&fleet.database, &wards).await?;
    let published = holds_the_log(&fleet.nats, &fleet.database).await?.len();
    eprintln!("{KILLS} kills, {STOPS} stops; {published} messages stand in the stream");
    eprintln!("{}", met.told());
    ensure!(
        meanwhile > 300,
        "too little load to prove anything: {meanwhile} answers"
    );
    Ok(())
}

/// Stops the leader until another node leads, and a moment longer; then it resumes in the middle of its work.
async fn stop_beyond_the_lease(fleet: &TestCluster) -> Result<()> {
    let stopped = fleet.leader().await?;
    a_moment().await;
    fleet.signal(stopped, "STOP")?;
    let taken_over = fleet.leader_but(Some(stopped)).await;
    a_moment().await;
    fleet.signal(stopped, "CONT")?;
    taken_over.map(drop)
}

/// Kills the leader the first time, and another node each later time.
async fn kill_one(fleet: &mut TestCluster, turn: usize) -> Result<()> {
    let leader = fleet.leader().await?;
    a_moment().await;
    let victim = match turn {
        0 => leader,
        _ => (leader + 1) % fleet.len(),
    };
    fleet.kill(victim).await
}

/// Not a wait: the random moment is what is tested.
async fn a_moment() {
    let (_, random) = fresh().as_u64_pair();
    tokio::time::sleep(Duration::from_millis(200 + random % 500)).await;
}
