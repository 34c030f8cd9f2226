//! A network that accepts data and delivers none, for longer than any timeout.

use anyhow::Result;
use roentgen_tests::tcp_proxy::NetworkCondition;

use super::{OutageTest, for_a_while, watched};

/// What happens to existing connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OldConnections {
    /// Their data arrives late.
    Resume,
    /// They stay silent, as if a device on the network path had lost their state.
    StayDark,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_dark_network_that_goes_on() -> Result<()> {
    is_dark(OldConnections::Resume).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_blackhole_with_dropped_connections() -> Result<()> {
    is_dark(OldConnections::StayDark).await
}

async fn is_dark(old: OldConnections) -> Result<()> {
    let scene = OutageTest::by_wire().await?;
    let (crowd, met) = scene.crowd();
    let watch = scene.watch().await?;
    let client = scene.client();
    watched(&watch, &client, for_a_while(1)).await?;
    scene.wire().set(NetworkCondition::Blackhole);
    if old == OldConnections::StayDark {
        scene.wire().stall_existing();
    }
    watched(&watch, &client, for_a_while(12)).await?;
    let before = met.answers();
    scene
        .wire()
        .set(NetworkCondition::Latency(std::time::Duration::ZERO));
    watched(&watch, &client, for_a_while(3)).await?;
    let after = met.answers() - before;
    watch.close().await;
    scene.ends_well(crowd, &met).await?;
    eprintln!("{old:?}: {after} answers in the first seconds afterwards");
    Ok(())
}
