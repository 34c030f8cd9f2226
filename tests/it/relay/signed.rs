//! The key that signs events: one per database, never replaced by accident, and readable by its owner only.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use roentgen_tests::{EngineKind, Nats, Server, TestClient, TestDatabase};

use super::WAIT_TIMEOUT;
use crate::faults::run;
use crate::test_app::{MASTER_KEY, SECRET, create_catalog, fresh, on_both_engines};

on_both_engines!(
    a_server_with_another_key_does_not_start,
    outside_dev_a_key_has_to_be_made,
);

async fn a_server_with_another_key_does_not_start(engine: EngineKind) -> Result<()> {
    let nats = Nats::start().await?;
    let database = TestDatabase::new(engine).await?;
    let arguments = ["--dev", "--nats", &nats.url()];
    let server = Server::start(&database, &arguments).await?;
    create_catalog(&TestClient::dev(&server.base, fresh())).await?;
    nats.holds(1, WAIT_TIMEOUT).await?;
    server.terminate()?;

    let other = database.directory().join("other.pem").display().to_string();
    let made = run(
        &database,
        &["event-key", "--make", "--event-key-file", &other],
    )?;
    ensure!(made.code == Some(0), "{}", made.printed);
    let with_other = [&["serve"], &arguments[..], &["--event-key-file", &other]].concat();
    let ran = run(&database, &with_other)?;
    ensure!(
        ran.code == Some(70) && ran.printed.contains("signed by another key"),
        "{}",
        ran.printed
    );
    Server::start(&database, &arguments).await?.kill()
}

async fn outside_dev_a_key_has_to_be_made(engine: EngineKind) -> Result<()> {
    let nats = Nats::start().await?;
    let database = TestDatabase::new(engine).await?;
    let url = nats.url();
    let guarded = [
        "--jwt-secret",
        SECRET,
        "--master-key",
        MASTER_KEY,
        "--any-audience",
        "--nats",
        &url,
    ];
    for command in ["serve", "config"] {
        let ran = run(&database, &[&[command], &guarded[..]].concat())?;
        ensure!(
            ran.code == Some(64) && ran.printed.contains("roentgen event-key --make"),
            "{}",
            ran.printed
        );
    }
    let made = run(
        &database,
        &[&["event-key", "--make"], &guarded[..]].concat(),
    )?;
    let told = run(&database, &[&["event-key"], &guarded[..]].concat())?;
    ensure!(
        told.printed.starts_with("-----BEGIN PUBLIC KEY-----") && told.printed == made.printed,
        "{}",
        told.printed
    );
    let shown = run(&database, &[&["config"], &guarded[..]].concat())?;
    ensure!(
        shown.code == Some(0) && shown.printed.contains("event-key.pem"),
        "{}",
        shown.printed
    );
    let directory = match engine {
        EngineKind::Sqlite => database.directory(),
        EngineKind::Postgres => database.directory().join("data"),
    };
    let file = std::fs::metadata(directory.join("event-key.pem"))?;
    ensure!(file.permissions().mode() & 0o777 == 0o600, "{file:?}");
    Server::start(&database, &guarded).await?.kill()
}
