//! The consumers of `docs/examples`, run as a user would run them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::stream::Config;
use roentgen_tests::nats::STREAM;
use roentgen_tests::{EngineKind, Message, Nats, python};

use super::{holds_the_log, log, order};
use crate::faults::run;
use crate::test_app::TestApp;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_in_rust_reads_every_event_and_goes_on_where_it_left_off() -> Result<()> {
    reads_on(in_rust).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_in_python_reads_every_event_and_goes_on_where_it_left_off() -> Result<()> {
    reads_on(in_python).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_in_rust_rejects_what_roentgen_did_not_sign() -> Result<()> {
    rejects(in_rust).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_in_python_rejects_what_roentgen_did_not_sign() -> Result<()> {
    rejects(in_python).await
}

pub(super) fn in_rust(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(executable());
    command.args(arguments);
    Ok(command)
}

pub(super) fn in_python(arguments: &[&str]) -> Result<Command> {
    let knows = python()
        .args(["-c", "import nats, cryptography"])
        .output()?;
    ensure!(
        knows.status.success(),
        "the tests need a Python with tests/requirements.txt: ROENTGEN_TEST_PYTHON names it, scripts/test makes it"
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/consumer.py");
    let mut command = python();
    command.arg(&script).args(arguments);
    Ok(command)
}

fn executable() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_roentgen-example-consumer"))
}

/// Writes the server's public key to a file and returns the path.
pub(super) fn public_key(house: &TestApp) -> Result<String> {
    let told = run(&house.database, &["event-key"])?;
    ensure!(told.code == Some(0), "{}", told.printed);
    let path = house.database.directory().join("event-key.pub");
    std::fs::write(&path, told.printed)?;
    Ok(path.display().to_string())
}

async fn reads_on(consumer: impl Fn(&[&str]) -> Result<Command>) -> Result<()> {
    let nats = Nats::start().await?;
    let house = TestApp::open_with(EngineKind::Sqlite, &["--dev", "--nats", &nats.url()]).await?;
    let key = public_key(&house)?;
    let mut read = Vec::new();
    for _ in 0..2 {
        order(&house, 5).await?;
        holds_the_log(&nats, &house.database).await?;
        let events = log(&house.database).await?;
        let count = (events.len() - read.len()).to_string();
        let mut command = consumer(&[&nats.url(), &key, &count])?;
        let ran = tokio::task::spawn_blocking(move || command.output()).await??;
        let said = String::from_utf8(ran.stdout)?;
        ensure!(
            ran.status.success(),
            "{said}{}",
            String::from_utf8(ran.stderr)?
        );
        read.extend(said.lines().map(str::to_owned));
        let expected = events.iter().map(|event| {
            let position = event.position;
            let kind = &event.event_type;
            format!(
                "{position} {kind} {}/{}",
                event.stream_type, event.stream_id
            )
        });
        assert_eq!(read, expected.collect::<Vec<_>>());
    }
    read.first().context("nothing was read")?;
    Ok(())
}

/// Forged variant of a published event.
struct Forgery {
    what: &'static str,
    header: Option<(&'static str, &'static str)>,
    body: Option<&'static str>,
}

const FORGERIES: [Forgery; 6] = [
    Forgery {
        what: "another body",
        header: None,
        body: Some(r#"{"report":"signed"}"#),
    },
    Forgery {
        what: "another position",
        header: Some(("ce-position", "7")),
        body: None,
    },
    Forgery {
        what: "another type",
        header: Some(("ce-type", "RadiologyReport.Signed")),
        body: None,
    },
    Forgery {
        what: "another id",
        header: Some(("ce-id", "00000000-0000-0000-0000-000000000001")),
        body: None,
    },
    Forgery {
        what: "a signature of nothing",
        header: Some((
            "ce-signature",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
        )),
        body: None,
    },
    Forgery {
        what: "no signature",
        header: Some(("ce-signature", "")),
        body: None,
    },
];

async fn rejects(consumer: impl Fn(&[&str]) -> Result<Command>) -> Result<()> {
    let nats = Nats::start().await?;
    let house = TestApp::open_with(EngineKind::Sqlite, &["--dev", "--nats", &nats.url()]).await?;
    let messages = holds_the_log(&nats, &house.database).await?;
    let real = messages.first().context("no message")?;
    let key = public_key(&house)?;
    let forged = Nats::start().await?;
    let read = async || -> Result<(bool, String)> {
        let mut command = consumer(&[&forged.url(), &key, "1"])?;
        let ran = tokio::task::spawn_blocking(move || command.output()).await??;
        Ok((ran.status.success(), String::from_utf8(ran.stderr)?))
    };
    publish(&forged, real, None).await?;
    let (accepted, said) = read().await?;
    ensure!(accepted, "{said}");
    for forgery in &FORGERIES {
        publish(&forged, real, Some(forgery)).await?;
        let (accepted, said) = read().await?;
        ensure!(!accepted, "{} was accepted", forgery.what);
        ensure!(
            said.contains("is not signed by Roentgen") || said.contains("ce-signature"),
            "{}: {said}",
            forgery.what
        );
    }
    Ok(())
}

/// Publishes a message or its forged variant as the only one of the stream.
async fn publish(nats: &Nats, real: &Message, forgery: Option<&Forgery>) -> Result<()> {
    let jetstream = nats.jetstream().await?;
    let _ = jetstream.delete_stream(STREAM).await;
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec!["roentgen.events.>".to_owned()],
        ..Config::default()
    };
    jetstream.create_stream(config).await?;
    let mut headers: BTreeMap<_, _> = real.headers.clone();
    headers.retain(|name, _| name.starts_with("ce-"));
    if let Some((name, value)) = forgery.and_then(|forgery| forgery.header) {
        headers.insert(name.to_owned(), value.to_owned());
    }
    headers.retain(|_, value| !value.is_empty());
    let mut map = HeaderMap::new();
    for (name, value) in &headers {
        map.insert(name.as_str(), value.as_str());
    }
    let body = forgery.and_then(|forgery| forgery.body);
    let body = body.unwrap_or(&real.body).to_owned();
    let sent = jetstream.publish_with_headers(real.subject.clone(), map, body.into());
    sent.await?.await?;
    Ok(())
}
