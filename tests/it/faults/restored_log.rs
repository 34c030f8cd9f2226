//! The log restored to an earlier point, under newer read models.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{DbFile, EngineKind, RawDatabase, Server, TestClient, TestDatabase, poll};
use serde_json::json;

use super::{run, tool, verify};
use crate::assertions::assert_problem;
use crate::read_model_audit::assert_match_log;
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(
    read_models_ahead_of_log_halt_with_reason,
    one_checkpoint_ahead_of_the_log_is_not_ready,
);

/// Policies check their checkpoint once they lead.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

const NAMED: &str = "the log was restored to an earlier point or is a different log";

async fn read_models_ahead_of_log_halt_with_reason(engine: EngineKind) -> Result<()> {
    let mut house = TestApp::start(engine).await?;
    let order = house.order();
    let kept = house.setup().post("/imaging/orders", &order).await?;
    assert_eq!(kept.status, 201, "{kept:?}");
    assert_match_log(&house.database).await?;
    house.server.terminate()?;
    let restored = house.database.copy().await?;

    house.server = Server::start(&house.database, &[]).await?;
    let client = house.client.with_base_url(&house.server.base);
    assert_eq!(client.post("/imaging/orders", &order).await?.status, 201);
    assert_match_log(&house.database).await?;
    house.server.terminate()?;
    keep_newer_read_models(&house.database, &restored).await?;

    verify(&restored)?;
    let shown = run(&restored, &["projections"])?;
    assert_ne!(shown.code, Some(0), "{}", shown.printed);
    assert!(shown.printed.contains(NAMED), "{}", shown.printed);
    let server = Server::start(&restored, &[]).await?;
    let client = client.with_base_url(&server.base);
    from_the_first_answer_on(&client).await?;
    // The same holds for another node on the same database, which does not lead.
    let neighbour = Server::start(&restored, &[]).await?;
    from_the_first_answer_on(&client.with_base_url(&neighbour.base)).await?;
    the_log_is_shown(&client, &kept.header("location")).await
}

/// The checkpoint of a read model and that of the policies are each ahead alone; nothing else reports the error.
async fn one_checkpoint_ahead_of_the_log_is_not_ready(engine: EngineKind) -> Result<()> {
    let mut house = TestApp::start(engine).await?;
    house.create_order(json!({})).await?;
    assert_match_log(&house.database).await?;
    for (named, table, whose) in [
        (
            "checkpoint orders_v2 is at",
            "generations",
            "name = 'orders_v2'",
        ),
        (
            "checkpoint policies is at",
            "checkpoints",
            "projection = 'policies'",
        ),
    ] {
        house.server.terminate()?;
        let mut read = RawDatabase::on(&house.database, DbFile::Read).await?;
        let moved = async |read: &mut RawDatabase, by: &str| {
            let sql = format!("UPDATE {table} SET position = position {by} WHERE {whose}");
            read.run(&sql).await
        };
        assert_eq!(moved(&mut read, "+ 1000").await?, 1, "{named}");
        let server = Server::start(&house.database, &[]).await?;
        let client = house.client.with_base_url(&server.base);
        let ready = async || client.get("/health/ready").await;
        let refused = poll::wait_until(named, WAIT_TIMEOUT, ready, |answer| {
            answer.as_ref().is_ok_and(|answer| answer.status == 503)
        });
        let refused = refused.await??;
        assert_problem(&refused, ProblemCode::Unavailable, named);
        assert!(refused.text_at("/detail").contains(named), "{refused:?}");
        assert!(refused.text_at("/detail").contains(NAMED), "{refused:?}");
        server.terminate()?;
        assert_eq!(moved(&mut read, "- 1000").await?, 1, "{named}");
        house.server = Server::start(&house.database, &[]).await?;
    }
    Ok(())
}

/// Checks that nothing is shown that may no longer be in the log.
async fn from_the_first_answer_on(client: &TestClient) -> Result<()> {
    for path in ["/health/ready", "/imaging/orders", "/imaging/modalities"] {
        let refused = client.get(path).await?;
        assert_problem(&refused, ProblemCode::Unavailable, path);
        assert!(refused.text_at("/detail").contains(NAMED), "{refused:?}");
        assert_eq!(refused.header("retry-after"), "1", "{refused:?}");
    }
    Ok(())
}

/// A single resource is folded from its stream and therefore agrees with the log.
async fn the_log_is_shown(client: &TestClient, place: &str) -> Result<()> {
    let read = client.get(place).await?;
    assert_eq!(read.status, 200, "{read:?}");
    Ok(())
}

/// Copies the newer read models to the restored database, as after a restore of the log alone.
async fn keep_newer_read_models(newer: &TestDatabase, restored: &TestDatabase) -> Result<()> {
    match newer.engine {
        EngineKind::Sqlite => {
            for file in std::fs::read_dir(newer.directory())? {
                let file = file?.file_name();
                if file.to_string_lossy().starts_with("roentgen-read.db") {
                    let to = restored.directory().join(&file);
                    std::fs::copy(newer.directory().join(&file), to)?;
                }
            }
        }
        EngineKind::Postgres => {
            let dump = newer.directory().join("read.sql");
            let mut dumping = Command::new("pg_dump");
            tool(
                dumping
                    .arg("--schema=read")
                    .arg("--file")
                    .arg(&dump)
                    .arg(&newer.url),
            )?;
            let mut owner = RawDatabase::on(restored, DbFile::Read).await?;
            owner.run("DROP SCHEMA read CASCADE").await?;
            let mut loading = Command::new("psql");
            loading.args(["--quiet", "--set=ON_ERROR_STOP=1", "--file"]);
            tool(loading.arg(&dump).arg(&restored.url))?;
        }
    }
    Ok(())
}
