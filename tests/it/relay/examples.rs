//! The consumers of `docs/examples`, run as their readers would run them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use roentgen_tests::{Engine, Nats, python};

use super::{holds_the_log, log, order};
use crate::story::House;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_in_rust_reads_every_event_and_goes_on_where_it_left_off() -> Result<()> {
    reads_on(|url, count| {
        let mut command = Command::new(executable());
        command.args([url, count]);
        command
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_in_python_reads_every_event_and_goes_on_where_it_left_off() -> Result<()> {
    let knows = python().args(["-c", "import nats"]).output()?;
    ensure!(
        knows.status.success(),
        "the tests need a Python with nats-py: ROENTGEN_TEST_PYTHON names it, scripts/test makes it"
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/consumer.py");
    reads_on(move |url, count| {
        let mut command = python();
        command.arg(&script).args([url, count]);
        command
    })
    .await
}

fn executable() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_roentgen-example-consumer"))
}

async fn reads_on(consumer: impl Fn(&str, &str) -> Command) -> Result<()> {
    let nats = Nats::start().await?;
    let house = House::open_with(Engine::Sqlite, &["--dev", "--nats", &nats.url()]).await?;
    let mut read = Vec::new();
    for _ in 0..2 {
        order(&house, 5).await?;
        holds_the_log(&nats, &house.database).await?;
        let events = log(&house.database).await?;
        let count = (events.len() - read.len()).to_string();
        let mut command = consumer(&nats.url(), &count);
        let ran = tokio::task::spawn_blocking(move || command.output()).await??;
        let said = String::from_utf8(ran.stdout)?;
        ensure!(
            ran.status.success(),
            "{said}{}",
            String::from_utf8(ran.stderr)?
        );
        read.extend(said.lines().map(str::to_owned));
        let expected = events.iter().map(|it| {
            let (position, kind) = (it.position, &it.event_type);
            format!("{position} {kind} {}/{}", it.stream_type, it.stream_id)
        });
        assert_eq!(read, expected.collect::<Vec<_>>());
    }
    read.first().context("nothing was read")?;
    Ok(())
}
