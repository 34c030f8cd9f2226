//! A master key other than the one the database was first opened with.

use std::time::Duration;

use anyhow::{Context as _, Result};
use roentgen_store::keys::MasterKey;
use roentgen_tests::EngineKind;
use roentgen_tests::server::program;

use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(another_master_key_is_refused_by_name);

const START: Duration = Duration::from_secs(15);

async fn another_master_key_is_refused_by_name(engine: EngineKind) -> Result<()> {
    let TestApp {
        server, database, ..
    } = TestApp::start(engine).await?;
    server.terminate()?;
    let mut serve = program(&database);
    serve
        .args(["serve", "--dev"])
        .env("ROENTGEN_MASTER_KEY", MasterKey::generate());
    let mut serve = tokio::process::Command::from(serve);
    let refused = tokio::time::timeout(START, serve.kill_on_drop(true).output());
    let refused = refused.await.context("it serves")??;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(70), "{said}");
    assert!(
        said.contains("database was initialised with a different master key"),
        "{said}"
    );
    Ok(())
}
