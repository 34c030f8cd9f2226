//! PostgreSQL restarted under load, in an orderly way and as in a crash.

use anyhow::Result;
use roentgen_tests::Postgres;
use roentgen_tests::postgres::Stop;

use super::{Scene, for_a_while, watched};

const RESTARTS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_restart_of_postgres() -> Result<()> {
    is_restarted(Stop::Fast).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_crash_of_postgres() -> Result<()> {
    is_restarted(Stop::Immediate).await
}

async fn is_restarted(stop: Stop) -> Result<()> {
    let mut postgres = Postgres::start().await?;
    let scene = Scene::on(&postgres).await?;
    let (crowd, met) = scene.crowd();
    let (watch, client) = (scene.watch().await?, scene.client());
    let restarts = async {
        for _ in 0..RESTARTS {
            for_a_while(1).await?;
            postgres.stop(stop).await?;
            for_a_while(1).await?;
            postgres.start_again().await?;
        }
        for_a_while(1).await
    };
    watched(&watch, &client, restarts).await?;
    watch.close().await;
    scene.ends_well(crowd, &met).await?;
    eprintln!("{RESTARTS} restarts ({stop:?})");
    Ok(())
}
