//! Three nats-servers as one JetStream cluster: the stream survives the loss of any leader.

use anyhow::{Result, ensure};
use roentgen_tests::{Cluster, EngineKind};

use super::faults::{KILL_DELAY_MS, OrderLoad};
use super::{caught_up, holds_the_log, order, others_read_the_log};
use crate::test_app::{TestApp, on_both_engines, random_delay};

on_both_engines!(heavy_loss_of_the_streams_leaders);

const LOSSES: u32 = 3;

async fn heavy_loss_of_the_streams_leaders(engine: EngineKind) -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let urls = cluster.urls();
    let arguments = ["--dev", "--nats", &urls, "--nats-replicas", "3"];
    let house = TestApp::open_with(engine, &arguments).await?;
    for _ in 0..LOSSES {
        let leader = cluster.leader().await?;
        let working = OrderLoad::begin(&house);
        // Not a wait: the random moment is what is tested.
        tokio::time::sleep(random_delay(KILL_DELAY_MS)).await;
        let next = cluster.kill(&leader).await?;
        working.end().await;
        ensure!(next != leader, "{leader} is dead and leads");
        cluster.start_again(&leader).await?;
    }
    order(&house, 1).await?;
    cluster.leader().await?;
    let messages = holds_the_log(cluster.one()?, &house.database).await?;
    others_read_the_log(&urls, &house.database).await?;
    eprintln!("{engine:?}: {LOSSES} leaders, {} messages", messages.len());
    ensure!(messages.len() > 100, "too little load to prove anything");
    caught_up(&house.client).await
}
