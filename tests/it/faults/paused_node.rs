//! One of two nodes is stopped (SIGSTOP) in the middle of its work: the other one continues and takes over the lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use roentgen_tests::{EngineKind, Server, TestClient, TestDatabase, poll};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::verify;
use crate::read_model_audit::assert_match_log;
use crate::test_app::{create_catalog, fresh};

const CLIENTS: usize = 8;
const SLOWEST: Duration = Duration::from_secs(3);
/// Time limit of a takeover. The lease lasts 6 s, and is requested every 2 s.
const TAKEN_OVER: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_stop_of_one_of_two_nodes() -> Result<()> {
    let database = TestDatabase::new(EngineKind::Postgres).await?;
    let tenant = fresh();
    let stopped = Server::start(&database, &[]).await?;
    let procedure = create_catalog(&TestClient::dev(&stopped.base, tenant)).await?;
    assert_match_log(&database).await?;
    let going = Server::start(&database, &[]).await?;
    let client = TestClient::dev(&going.base, tenant);

    let (of_stopped, enough) = work(&TestClient::dev(&stopped.base, tenant), &procedure);
    let (of_going, enough_too) = work(&client, &procedure);
    some_written(&client, 100).await?;
    stopped.signal("STOP")?;
    let lag = async || ready(&client, "/lag").await;
    some_written(&client, 500).await?;
    poll::wait_until("the other node's lag", TAKEN_OVER, lag, |result| {
        result.as_ref().is_ok_and(|number| *number < 100)
    })
    .await??;
    stopped.signal("CONT")?;
    enough.store(true, Ordering::Relaxed);
    enough_too.store(true, Ordering::Relaxed);

    let slowest = slowest(of_going).await?;
    ensure!(slowest < SLOWEST, "a request took {slowest:?}");
    let waited = self::slowest(of_stopped).await?;
    let rows = assert_match_log(&database).await?;
    eprintln!("{rows} rows; slowest beside the stopped node {slowest:?}, on it {waited:?}");
    verify(&database)
}

type Work = (JoinSet<Result<Duration>>, Arc<AtomicBool>);

/// Starts clients that create and change orders until they are stopped; each returns its slowest request.
fn work(client: &TestClient, procedure: &str) -> Work {
    let enough = Arc::new(AtomicBool::new(false));
    let mut working = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = client.clone();
        let enough = Arc::clone(&enough);
        let procedure = procedure.to_owned();
        working.spawn(async move {
            let mut slowest = Duration::ZERO;
            while !enough.load(Ordering::Relaxed) {
                slowest = slowest.max(create_and_move(&client, &procedure).await?);
            }
            Ok(slowest)
        });
    }
    (working, enough)
}

async fn create_and_move(client: &TestClient, procedure: &str) -> Result<Duration> {
    let order = json!({
        "patient_id": Uuid::from_u128(fresh().as_u128()), "imaging_procedure_id": procedure,
        "indication": "seen beside a stopped node",
    });
    let started = Instant::now();
    let created = client.post("/imaging/orders", &order).await?;
    let first = started.elapsed();
    ensure!(matches!(created.status, 201 | 503), "{created:?}");
    let started = Instant::now();
    let moved = json!({ "status": "scheduled" });
    let moved = client.patch(&created.header("location"), &moved).await?;
    ensure!(matches!(moved.status, 200 | 404 | 503), "{moved:?}");
    Ok(first.max(started.elapsed()))
}

async fn slowest(mut working: JoinSet<Result<Duration>>) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    while let Some(one) = working.join_next().await {
        slowest = slowest.max(one??);
    }
    Ok(slowest)
}

/// Waits until the log has grown by this number of events.
async fn some_written(client: &TestClient, events: u64) -> Result<()> {
    let head = async || ready(client, "/head").await;
    let before = head().await?;
    let grown = poll::wait_until("the log's growth", TAKEN_OVER, head, |result| {
        result
            .as_ref()
            .is_ok_and(|number| *number >= before + events)
    });
    grown.await?.map(drop)
}

/// Returns a number from the readiness response.
async fn ready(client: &TestClient, pointer: &str) -> Result<u64> {
    let ready = client.get("/health/ready").await?;
    let told = ready.json();
    let number = told.pointer(pointer).and_then(Value::as_u64);
    number.with_context(|| format!("no {pointer} in {ready:?}"))
}
