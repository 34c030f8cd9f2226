//! NATS unavailable, servers killed, leaders paused: the stream still equals the log.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::Config;
use roentgen_tests::nats::STREAM;
use roentgen_tests::{
    DbFile, EngineKind, Nats, RawDatabase, Server, TestClient, TestDatabase, poll,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{WAIT_TIMEOUT, caught_up, holds_the_log, lag, log, order, others_read_the_log};
use crate::test_app::{TestApp, fresh, on_both_engines, random_delay, serve};

on_both_engines!(
    commands_go_on_while_nats_is_away,
    a_checkpoint_left_behind_is_moved_on_by_the_stream,
    a_checkpoint_that_is_lost_is_found_again_in_the_stream,
    a_message_that_comes_late_is_not_taken,
    heavy_kill_of_server_and_nats_in_turn,
);

/// Deduplication window, the shortest that a server accepts: every outage here is longer.
const WINDOW: Duration = Duration::from_millis(100);
const KILLS: u32 = 22;
/// Maximum time that a write of a checkpoint waits.
const ONE_WAIT: Duration = Duration::from_secs(2);
const CLERKS: u32 = 4;
/// Delay between the start of the work and a kill, in ms.
pub(super) const KILL_DELAY_MS: Range<u64> = 100..400;

async fn commands_go_on_while_nats_is_away(engine: EngineKind) -> Result<()> {
    let mut nats = Nats::start().await?;
    let house = TestApp::open_with(engine, &["--dev", "--nats", &nats.url()]).await?;
    order(&house, 3).await?;
    holds_the_log(&nats, &house.database).await?;
    nats.kill()?;
    for missing in 1..=10_u32 {
        order(&house, 1).await?;
        let lag = lag(&house.client).await?;
        assert!(lag >= f64::from(missing), "{missing} missing, lag {lag}");
    }
    assert_eq!(house.client.get("/health/ready").await?.status, 200);
    nats.restart().await?;
    holds_the_log(&nats, &house.database).await?;
    caught_up(&house.client).await
}

/// The state after a server was killed between acknowledgement and checkpoint, with a longer outage than NATS stores
/// message ids.
async fn a_checkpoint_left_behind_is_moved_on_by_the_stream(engine: EngineKind) -> Result<()> {
    let nats = forgetful().await?;
    let url = nats.url();
    let mut house = TestApp::open_with(engine, &["--dev", "--nats", &url]).await?;
    holds_the_log(&nats, &house.database).await?;
    order(&house, 10).await?;
    holds_the_log(&nats, &house.database).await?;
    house.server.kill()?;
    let mut by_hand = RawDatabase::on(&house.database, DbFile::Log).await?;
    let moved = by_hand
        .run(
            "UPDATE relays SET position = 3, last_sequence = 3, \
             hash = (SELECT hash FROM events WHERE position = 3)",
        )
        .await?;
    assert_eq!(moved, 1);
    forgotten(&nats).await?;
    house.server = start_again(&house.database, &url).await?;
    house.client = house.client.with_base_url(&house.server.base);
    order(&house, 1).await?;
    holds_the_log(&nats, &house.database).await?;
    caught_up(&house.client).await
}

async fn a_checkpoint_that_is_lost_is_found_again_in_the_stream(engine: EngineKind) -> Result<()> {
    let nats = forgetful().await?;
    let url = nats.url();
    let mut house = TestApp::open_with(engine, &["--dev", "--nats", &url]).await?;
    holds_the_log(&nats, &house.database).await?;
    order(&house, 3).await?;
    holds_the_log(&nats, &house.database).await?;
    house.server.kill()?;
    let mut by_hand = RawDatabase::on(&house.database, DbFile::Log).await?;
    assert_eq!(by_hand.run("DELETE FROM relays").await?, 1);
    forgotten(&nats).await?;
    house.server = start_again(&house.database, &url).await?;
    house.client = house.client.with_base_url(&house.server.base);
    order(&house, 1).await?;
    holds_the_log(&nats, &house.database).await?;
    caught_up(&house.client).await
}

/// A publisher that was paused, or a buffer on the network, may send such messages.
async fn a_message_that_comes_late_is_not_taken(engine: EngineKind) -> Result<()> {
    let nats = forgetful().await?;
    let house = TestApp::open_with(engine, &["--dev", "--nats", &nats.url()]).await?;
    order(&house, 3).await?;
    let messages = holds_the_log(&nats, &house.database).await?;
    forgotten(&nats).await?;
    let jetstream = nats.jetstream().await?;
    for message in messages {
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            headers.insert(name.as_str(), value.as_str());
        }
        let subject = message.subject.clone();
        let body = message.body.clone();
        let sent = jetstream
            .publish_with_headers(subject, headers, body.into())
            .await?;
        let refused = sent.await.err().map(|error| error.kind());
        assert_eq!(
            refused,
            Some(PublishErrorKind::WrongLastSequence),
            "{message:?}"
        );
    }
    order(&house, 1).await?;
    holds_the_log(&nats, &house.database).await?;
    caught_up(&house.client).await
}

async fn heavy_kill_of_server_and_nats_in_turn(engine: EngineKind) -> Result<()> {
    let mut nats = forgetful().await?;
    let url = nats.url();
    let mut house = TestApp::open_with(engine, &["--dev", "--nats", &url]).await?;
    holds_the_log(&nats, &house.database).await?;
    for kill in 0..KILLS {
        let working = OrderLoad::begin(&house);
        // Not a wait: the random moment is what is tested.
        tokio::time::sleep(random_delay(KILL_DELAY_MS)).await;
        if kill % 2 == 0 {
            house.server.kill()?;
            working.end().await;
            house.server = start_again(&house.database, &url).await?;
            house.client = house.client.with_base_url(&house.server.base);
        } else {
            nats.kill()?;
            working.end().await;
            nats.restart().await?;
        }
    }
    order(&house, 1).await?;
    let messages = holds_the_log(&nats, &house.database).await?;
    others_read_the_log(&url, &house.database).await?;
    eprintln!("{engine:?}: {KILLS} kills, {} messages", messages.len());
    ensure!(messages.len() > 200, "too little load to prove anything");
    Ok(())
}

/// While another transaction locks the checkpoint's row, the relay's write of it waits, and no message does. The write
/// and its session are abandoned after 2 s; an observation after that proves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_waits_for_the_checkpoint() -> Result<()> {
    let nats = Nats::start().await?;
    let url = nats.url();
    let house = TestApp::open_with(EngineKind::Postgres, &["--dev", "--nats", &url]).await?;
    holds_the_log(&nats, &house.database).await?;
    let asked = async || passes_a_waiting_write(&nats, &house).await;
    let passed = |result: &Result<bool>| !result.as_ref().is_ok_and(|flag| !flag);
    poll::wait_until("a message beside the write", WAIT_TIMEOUT, asked, passed).await??;
    caught_up(&house.client).await
}

/// Returns whether a message arrives during a single waiting write of the checkpoint.
async fn passes_a_waiting_write(nats: &Nats, house: &TestApp) -> Result<bool> {
    let mut holder = RawDatabase::on(&house.database, DbFile::Log).await?;
    holder.run("BEGIN").await?;
    holder.run("UPDATE relays SET name = name").await?;
    order(house, 1).await?;
    let asked = async || waits_since(&house.database).await;
    let waits = |result: &Result<i64>| result.as_ref().is_ok_and(|number| *number > 0);
    let since = poll::wait_until("the checkpoint's write", WAIT_TIMEOUT, asked, waits).await??;
    order(house, 1).await?;
    let events = log(&house.database).await?.len() as u64;
    let arrived = nats.holds(events, ONE_WAIT).await.is_ok();
    let passed = arrived && waits_since(&house.database).await? == since;
    holder.run("ROLLBACK").await?;
    Ok(passed)
}

/// Returns the time since which the write of the relay's checkpoint waits, in µs since the epoch, or 0 if none waits.
async fn waits_since(database: &TestDatabase) -> Result<i64> {
    let mut observer = RawDatabase::on(database, DbFile::Log).await?;
    let waiting = "SELECT coalesce(max(extract(epoch FROM query_start) * 1000000)::bigint, 0) \
        FROM pg_stat_activity WHERE datname = current_database() \
        AND wait_event_type = 'Lock' AND query LIKE 'UPDATE relays%'";
    observer.number(waiting).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_publish_once() -> Result<()> {
    let nats = forgetful().await?;
    let url = nats.url();
    let house = TestApp::open_with(EngineKind::Postgres, &["--dev", "--nats", &url]).await?;
    let other = serve(&house.database, &["--dev", "--nats", &url]).await?;
    let there = TestApp {
        client: house.client.with_base_url(&other.base),
        server: other,
        tenant: house.tenant,
        procedure: house.procedure.clone(),
        database: TestDatabase::new(EngineKind::Sqlite).await?,
    };
    for _ in 0..10 {
        let (here, there) = tokio::join!(order(&house, 5), order(&there, 5));
        here.and(there)?;
    }
    holds_the_log(&nats, &house.database).await?;
    house.server.kill()?;
    order(&there, 5).await?;
    holds_the_log(&nats, &house.database).await?;
    Ok(())
}

/// The leader is stopped while messages are in flight, another takes over, and the first one resumes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_wakes_up_late_does_no_harm() -> Result<()> {
    let nats = forgetful().await?;
    let url = nats.url();
    let house = TestApp::open_with(EngineKind::Postgres, &["--dev", "--nats", &url]).await?;
    holds_the_log(&nats, &house.database).await?;
    let other = serve(&house.database, &["--dev", "--nats", &url]).await?;
    let working = OrderLoad::begin(&house);
    tokio::time::sleep(random_delay(KILL_DELAY_MS)).await;
    house.server.signal("STOP")?;
    working.abort();
    let client = house.client.with_base_url(&other.base);
    let body = house.order();
    assert_eq!(client.post("/imaging/orders", &body).await?.status, 201);
    holds_the_log(&nats, &house.database).await?;
    house.server.signal("CONT")?;
    for _ in 0..20 {
        let body = house.order();
        assert_eq!(client.post("/imaging/orders", &body).await?.status, 201);
        assert_eq!(
            house
                .client
                .post("/imaging/orders", &house.order())
                .await?
                .status,
            201
        );
    }
    holds_the_log(&nats, &house.database).await?;
    Ok(())
}

/// Starts a NATS with the shortest deduplication window. The stream is created with it: a window that is shortened
/// later does not apply to existing message ids.
async fn forgetful() -> Result<Nats> {
    let nats = Nats::start().await?;
    let stream = Config {
        name: STREAM.to_owned(),
        subjects: vec!["roentgen.events.>".to_owned()],
        duplicate_window: WINDOW,
        ..Config::default()
    };
    nats.jetstream().await?.create_stream(stream).await?;
    Ok(nats)
}

/// Waits until NATS has forgotten all message ids.
async fn forgotten(nats: &Nats) -> Result<()> {
    let window = i128::try_from((WINDOW * 5).as_nanos())?;
    let age = async || {
        let info = nats.info().await?.context("no stream")?;
        let last = info.state.last_timestamp.unix_timestamp_nanos();
        anyhow::Ok(i128::from(roentgen_store::clock::now_ms()) * 1_000_000 - last)
    };
    let old = |result: &Result<i128>| result.as_ref().is_ok_and(|number| *number > window);
    poll::wait_until("the last message's age", WAIT_TIMEOUT, age, old).await??;
    Ok(())
}

/// Deletes the leases and starts a server. A dead leader's lease would keep the relay idle for longer than a cycle, so
/// that it would never be killed while working.
async fn start_again(database: &TestDatabase, url: &str) -> Result<Server> {
    let mut read = RawDatabase::on(database, DbFile::Read).await?;
    read.run("DELETE FROM leases").await?;
    serve(database, &["--dev", "--nats", url]).await
}

/// Clients that create orders until the server stops answering.
pub(super) struct OrderLoad {
    clerks: JoinSet<()>,
    enough: CancellationToken,
}

impl OrderLoad {
    pub(super) fn begin(house: &TestApp) -> Self {
        let enough = CancellationToken::new();
        let mut clerks = JoinSet::new();
        for _ in 0..CLERKS {
            let client = house.client.clone();
            let enough = enough.clone();
            let procedure = house.procedure.clone();
            clerks.spawn(async move {
                while !enough.is_cancelled() && ordered(&client, &procedure).await {}
            });
        }
        Self { clerks, enough }
    }

    pub(super) async fn end(self) {
        self.enough.cancel();
        self.clerks.join_all().await;
    }

    /// Aborts the clients, whose responses will not arrive.
    fn abort(mut self) {
        self.clerks.abort_all();
    }
}

async fn ordered(client: &TestClient, procedure: &str) -> bool {
    let body = serde_json::json!({
        "patient_id": fresh(), "imaging_procedure_id": procedure, "indication": "cough",
    });
    let answer = client.post("/imaging/orders", &body).await;
    answer.is_ok_and(|response| response.status == 201)
}
