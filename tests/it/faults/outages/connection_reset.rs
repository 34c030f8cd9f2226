//! All connections cut, repeatedly.

use std::time::Duration;

use anyhow::Result;

use super::{OutageTest, watched};

const CUTS: u32 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_cut_of_every_connection() -> Result<()> {
    let scene = OutageTest::by_wire().await?;
    let (crowd, met) = scene.crowd();
    let watch = scene.watch().await?;
    let client = scene.client();
    let cuts = async {
        for cut in 0..CUTS {
            // Not a wait: the moments are what is tested.
            tokio::time::sleep(Duration::from_millis(u64::from(100 + 37 * (cut % 11)))).await;
            scene.wire().cut();
        }
        Ok(())
    };
    watched(&watch, &client, cuts).await?;
    watch.close().await;
    scene.ends_well(crowd, &met).await?;
    Ok(())
}
