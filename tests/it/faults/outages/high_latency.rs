//! A network with a delay of 200 ms in each direction.

use std::time::Duration;

use anyhow::Result;
use roentgen_tests::poll;
use roentgen_tests::tcp_proxy::NetworkCondition;

use super::{OutageTest, for_a_while, watched};

const EACH_WAY: Duration = Duration::from_millis(200);
/// Time limit for some requests to complete on a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_slow_network() -> Result<()> {
    let scene = OutageTest::by_wire().await?;
    let (crowd, met) = scene.crowd();
    let watch = scene.watch().await?;
    let client = scene.client();
    watched(&watch, &client, for_a_while(1)).await?;
    scene.wire().set(NetworkCondition::Latency(EACH_WAY));
    let before = met.answers();
    watched(&watch, &client, for_a_while(12)).await?;
    let carried_out = poll::wait_until(
        "commands and reads that were carried out over the slow network",
        WAIT_TIMEOUT,
        async || met.answers() - before,
        |carried_out| *carried_out > 5,
    );
    eprintln!("{} were carried out", carried_out.await?);
    scene.wire().set(NetworkCondition::Latency(Duration::ZERO));
    watch.close().await;
    scene.ends_well(crowd, &met).await
}
