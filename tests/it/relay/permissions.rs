//! The users of docker/nats.conf: the server publishes and manages its stream, a consumer only reads.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::{Client, ConnectOptions, Event};
use roentgen_tests::nats::{CONSUMER, NatsAuth, SERVER};
use roentgen_tests::{EngineKind, Nats};
use tokio::sync::mpsc;

use super::examples::{in_python, in_rust, public_key};
use super::{holds_the_log, order};
use crate::test_app::TestApp;

type Consumer = fn(&[&str]) -> Result<Command>;

const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Operations on the shared stream that neither user may do.
const OF_NEITHER: [&str; 5] = [
    "$JS.API.STREAM.DELETE.ROENTGEN_EVENTS",
    "$JS.API.STREAM.PURGE.ROENTGEN_EVENTS",
    "$JS.API.STREAM.MSG.DELETE.ROENTGEN_EVENTS",
    "$JS.API.STREAM.CREATE.OTHER",
    "$JS.API.CONSUMER.DELETE.ROENTGEN_EVENTS.example-rust",
];

/// Subjects that a consumer may not publish to.
const NOT_OF_A_CONSUMER: [&str; 5] = [
    "roentgen.events.00000000-0000-0000-0000-000000000001.RadiologyReport.Signed",
    "$JS.API.STREAM.UPDATE.ROENTGEN_EVENTS",
    "$JS.API.STREAM.CREATE.ROENTGEN_EVENTS",
    "_INBOX.roentgen.anything",
    "anything",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_publishes_and_a_consumer_reads_and_nobody_does_more() -> Result<()> {
    let nats = Nats::start_guarded(NatsAuth::composed()?).await?;
    let url = with_login(&nats, SERVER);
    let house = TestApp::open_with(EngineKind::Sqlite, &["--dev", "--nats", &url]).await?;
    order(&house, 3).await?;
    let messages = holds_the_log(&nats, &house.database).await?;

    for consumer in [in_rust, in_python] {
        let url = with_login(&nats, CONSUMER);
        reads(consumer, &house, &url, messages.len()).await?;
    }
    denied(&nats, SERVER, &OF_NEITHER).await?;
    denied(
        &nats,
        CONSUMER,
        &[&OF_NEITHER[..], &NOT_OF_A_CONSUMER].concat(),
    )
    .await?;
    let anonymous = ConnectOptions::new().connect(nats.url()).await;
    ensure!(anonymous.is_err(), "somebody without a password came in");

    order(&house, 1).await?;
    let after = holds_the_log(&nats, &house.database).await?;
    ensure!(after.len() == messages.len() + 1, "{}", after.len());
    Ok(())
}

fn with_login(nats: &Nats, (user, password): (&str, &str)) -> String {
    nats.url().replace("://", &format!("://{user}:{password}@"))
}

/// Checks that a sample consumer reads the whole stream with the consumer's permissions.
async fn reads(consumer: Consumer, house: &TestApp, url: &str, count: usize) -> Result<()> {
    let mut command = consumer(&[url, &public_key(house)?, &count.to_string()])?;
    let ran = tokio::task::spawn_blocking(move || command.output()).await??;
    let read = String::from_utf8(ran.stdout)?;
    let said = String::from_utf8(ran.stderr)?;
    ensure!(
        ran.status.success() && read.lines().count() == count,
        "{said}"
    );
    Ok(())
}

/// Checks that publishing to each subject is rejected with an error that names the subject.
async fn denied(nats: &Nats, login: (&str, &str), subjects: &[&str]) -> Result<()> {
    let (client, mut errors) = connected(nats, login).await?;
    for subject in subjects {
        client.publish((*subject).to_owned(), "{}".into()).await?;
        client.flush().await?;
        let next = tokio::time::timeout(WAIT_TIMEOUT, errors.recv()).await;
        let error = next.with_context(|| format!("{subject} is allowed to {}", login.0))?;
        let error = error.context("the connection ended")?.to_lowercase();
        ensure!(
            error.contains("permissions violation") && error.contains(&subject.to_lowercase()),
            "{subject}: {error}"
        );
    }
    Ok(())
}

/// Returns a connection, and the errors that the server reports on it.
async fn connected(
    nats: &Nats,
    (user, password): (&str, &str),
) -> Result<(Client, mpsc::UnboundedReceiver<String>)> {
    let (told, errors) = mpsc::unbounded_channel();
    let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        .event_callback(move |event| {
            let told = told.clone();
            async move {
                if let Event::ServerError(error) = event {
                    let _ = told.send(error.to_string());
                }
            }
        });
    Ok((options.connect(nats.url()).await?, errors))
}
