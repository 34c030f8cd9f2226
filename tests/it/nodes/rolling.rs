//! A rolling restart: one node after the other ends as it is told to, and another process takes its place.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::audit;
use super::caller::{Crowd, Excused};
use super::fleet::Fleet;
use super::load::Ward;
use crate::relay::holds_the_log;

const CLIENTS: usize = 16;
const LIMIT: Duration = Duration::from_secs(10);

/// Who repeats what was not taken sees nothing but refused connections and "not now".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_restart_of_one_node_after_the_other() -> Result<()> {
    let mut fleet = Fleet::of(3).await?;
    let (wards, met) = fleet.wards(CLIENTS, (LIMIT, Excused::NobodyListens));
    let crowd = Crowd::of(wards, Ward::work);
    for round in 0..2 {
        for node in 0..fleet.len() {
            fleet.restart(node).await?;
            fleet.leader().await?;
            eprintln!("round {round}: node {node} is there again");
        }
    }
    let meanwhile = met.answers();
    let wards = crowd.home().await?;
    eprintln!("{}", met.told());
    audit::whole(&fleet.database, &wards).await?;
    holds_the_log(&fleet.nats, &fleet.database).await?;
    ensure!(
        meanwhile > 100,
        "too little load to prove anything: {meanwhile} answers"
    );
    Ok(())
}
