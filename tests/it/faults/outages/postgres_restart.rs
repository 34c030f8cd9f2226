//! PostgreSQL restarted under load, in an orderly way and as in a crash.

use anyhow::Result;
use roentgen_tests::postgres::Stop;
use roentgen_tests::{DbFile, Postgres, RawDatabase};
use serde_json::json;

use super::{OutageTest, for_a_while, watched};
use crate::test_app::fresh;

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
    let scene = OutageTest::on(&postgres).await?;
    let (crowd, met) = scene.crowd();
    let watch = scene.watch().await?;
    let client = scene.client();
    let restarts = async {
        for _ in 0..RESTARTS {
            for_a_while(1).await?;
            postgres.stop(stop).await?;
            for_a_while(1).await?;
            postgres.start_again().await?;
        }
        for_a_while(1).await
    };
    Box::pin(watched(&watch, &client, restarts)).await?;
    watch.close().await;
    scene.ends_well(crowd, &met).await?;
    eprintln!("{RESTARTS} restarts ({stop:?})");
    Ok(())
}

/// A reader that waited for a position has seen it; after a crash the read model must not be behind the position that
/// was reported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visible_position_survives_postgres_crash() -> Result<()> {
    let mut postgres = Postgres::start().await?;
    let scene = OutageTest::on(&postgres).await?;
    let mut by_hand = RawDatabase::on(&scene.database, DbFile::Read).await?;
    // Transactions that did not wait for the flush are lost in the crash.
    by_hand
        .run("ALTER SYSTEM SET wal_writer_delay = '10s'")
        .await?;
    by_hand.run("SELECT pg_reload_conf()").await?;
    let client = scene.client();
    let order = json!({
        "patient_id": fresh(), "imaging_procedure_id": scene.procedure,
        "indication": "rule out acute stroke",
    });
    let ordered = client.post("/imaging/orders", &order).await?;
    assert_eq!(ordered.status, 201, "{ordered:?}");
    let reader = client.with("min-log-position", &ordered.header("log-position"));
    let read = reader.get("/imaging/orders").await?;
    drop(scene.server);
    postgres.restart(Stop::Immediate).await?;
    assert_eq!(read.status, 200, "{read:?}");
    let shown = read.number("log-position");
    assert!(shown >= ordered.number("log-position"), "{read:?}");
    let mut by_hand = RawDatabase::on(&scene.database, DbFile::Read).await?;
    let is_there = "SELECT min(position) FROM generations WHERE state = 'live'";
    let there = by_hand.number(is_there).await?.unsigned_abs();
    assert!(there >= shown, "{shown} was shown, {there} is there");
    Ok(())
}
