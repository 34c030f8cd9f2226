//! The NATS relay, with a nats-server started for the test: every event once, in order, whatever is killed, lost or
//! done to the stream.

mod asyncapi;
mod authentication;
mod cluster;
mod examples;
mod faults;
mod halted;
mod permissions;
mod publishing;
mod signed;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use roentgen_store::log::{LogFilter, StoredEvent};
use roentgen_tests::{Message, Nats, TestClient, TestDatabase, poll, python};

use crate::read_model_audit::{OfflineDatabase, every_event};
use crate::test_app::TestApp;

/// Time limit for published messages to arrive, including the lease of a dead leader.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns all events of the log.
async fn log(database: &TestDatabase) -> Result<Vec<StoredEvent>> {
    let beside = OfflineDatabase::open(database).await?;
    let events = every_event(&*beside.log, &LogFilter::default()).await?;
    beside.close().await;
    Ok(events)
}

/// Waits until the stream has as many messages as the log has events, and compares them one by one.
pub(crate) async fn holds_the_log(nats: &Nats, database: &TestDatabase) -> Result<Vec<Message>> {
    let events = log(database).await?;
    nats.holds(events.len() as u64, WAIT_TIMEOUT).await?;
    let messages = nats.messages().await?;
    ensure!(
        messages.len() == events.len(),
        "{} messages of {} events",
        messages.len(),
        events.len()
    );
    for (message, event) in messages.iter().zip(&events) {
        let at = event.position;
        ensure!(message.sequence == at, "{at}: {message:?}");
        ensure!(
            message.header("ce-position") == at.to_string()
                && message.header("ce-id") == event.event_id.to_string()
                && message.body == event.payload,
            "{at}: {message:?}"
        );
    }
    Ok(messages)
}

/// Reads the whole stream with nats-py, which fails if an event is duplicated or an aggregate's events are out of
/// order, and compares the result with the log.
async fn others_read_the_log(urls: &str, database: &TestDatabase) -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/relay/read_once.py");
    let mut reader = python();
    reader.arg(script).arg(urls);
    let ran = tokio::task::spawn_blocking(move || reader.output()).await??;
    let read = String::from_utf8(ran.stdout)?;
    ensure!(ran.status.success(), "{}", String::from_utf8(ran.stderr)?);
    let expected = log(database).await?.into_iter().map(|event| {
        let position = event.position;
        let id = event.event_id;
        let version = event.version;
        let aggregate = format!("{}/{}", event.stream_type, event.stream_id);
        format!("{position} {position} {id} {aggregate} {version}")
    });
    assert_eq!(
        read.lines().collect::<Vec<_>>(),
        expected.collect::<Vec<_>>()
    );
    Ok(())
}

/// Creates this number of orders.
async fn order(house: &TestApp, count: u32) -> Result<()> {
    for _ in 0..count {
        house.create_order(serde_json::json!({})).await?;
    }
    Ok(())
}

/// Returns the relay's lag from `/metrics`.
async fn lag(client: &TestClient) -> Result<f64> {
    metric(client, "roentgen_relay_lag_events").await
}

/// Waits until the relay reports a lag of 0.
async fn caught_up(client: &TestClient) -> Result<()> {
    let asked = async || lag(client).await;
    let none = |result: &Result<f64>| result.as_ref().is_ok_and(|number| *number == 0.0);
    poll::wait_until("the relay's lag", WAIT_TIMEOUT, asked, none).await??;
    Ok(())
}

pub(crate) async fn metric(client: &TestClient, name: &str) -> Result<f64> {
    let text = client.get("/metrics").await?.text;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.map_or(Ok(f64::NAN), str::parse)?)
}
