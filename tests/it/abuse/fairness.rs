//! One tenant floods the server, and another one is served as if it were alone, except for the shared turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use roentgen_tests::{EngineKind, TestClient, poll};
use serde_json::json;
use tokio::task::JoinSet;

use crate::assertions::log_head;
use crate::test_app::{TestApp, create_catalog, fresh, on_both_engines};

on_both_engines!(
    tenant_is_served_while_another_floods,
    waiting_readers_of_one_tenant_leave_places_for_another,
);

/// Number of callers of the flooding tenant.
const FLOOD: usize = 200;
const ROUNDS: usize = 8;
const STARTED_TIMEOUT: Duration = Duration::from_secs(60);

/// Repeated requests of the flood.
#[derive(Debug, Clone)]
struct Flood {
    client: TestClient,
    /// Order of another tenant.
    foreign: String,
    /// Order of the flooding tenant, with a long history.
    own: String,
    /// Head of the log when the flood started.
    head: u64,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

impl Flood {
    async fn runs(self, caller: usize) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            let status = self.asks(caller).await?;
            let known = [200, 404, 503].contains(&status);
            ensure!(known, "the flood was answered {status}");
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn asks(&self, caller: usize) -> Result<u16> {
        let metadata = json!({ "metadata": { "caller": caller } });
        let search = format!("/imaging/procedures?search={}b", "a".repeat(127));
        let created = format!("{}?as_of=2026-01-01", self.own);
        let waits = format!("/events?after={}&types=Nothing.Happened&wait=2", self.head);
        let answer = match caller % 5 {
            0 => self.client.get(&search).await?,
            1 => self.client.patch(&self.foreign, &metadata).await?,
            2 => self.client.get(&created).await?,
            3 => self.client.patch(&self.own, &metadata).await?,
            _ => self.client.get(&waits).await?,
        };
        Ok(answer.status)
    }
}

async fn tenant_is_served_while_another_floods(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let victim = house.create_order(json!({})).await?;
    let client = TestClient::dev(&house.server.base, fresh());
    let flood = Flood {
        own: begun(&client).await?,
        head: log_head(&client).await?,
        client,
        foreign: victim.header("location"),
        stop: Arc::default(),
        answered: Arc::default(),
    };
    let mut callers = JoinSet::new();
    for caller in 0..FLOOD {
        callers.spawn(flood.clone().runs(caller));
    }
    flood.is_answered_after(0).await?;
    for _ in 0..ROUNDS {
        works(&house).await?;
    }
    // The flood is served as well: a share is not a ban.
    let so_far = flood.answered.load(Ordering::Relaxed);
    flood.is_answered_after(so_far).await?;
    flood.stop.store(true, Ordering::Relaxed);
    for ended in callers.join_all().await {
        ended?;
    }
    Ok(())
}

impl Flood {
    async fn is_answered_after(&self, before: u64) -> Result<()> {
        let seen = async || self.answered.load(Ordering::Relaxed);
        let more = |seen: &u64| *seen > before;
        poll::wait_until("the flood", STARTED_TIMEOUT, seen, more).await?;
        Ok(())
    }
}

/// Creates a catalog and an order of the flooding tenant.
async fn begun(client: &TestClient) -> Result<String> {
    let procedure = create_catalog(client).await?;
    let modality = client.get("/imaging/modalities").await?.ids();
    for n in 0..20 {
        let code = format!("LONG{n}");
        let long = json!({ "code": code, "name": "a".repeat(256), "modality_id": modality[0] });
        let created = client.post("/imaging/procedures", &long).await?;
        ensure!(created.status == 201, "{created:?}");
    }
    let order = json!({ "patient_id": fresh(), "imaging_procedure_id": procedure,
        "indication": "flood" });
    let order = client.post("/imaging/orders", &order).await?;
    let place = order.header("location");
    for n in 0..50 {
        let metadata = json!({ "metadata": { "n": n, "text": "x".repeat(10_000) } });
        let changed = client.patch(&place, &metadata).await?;
        ensure!(changed.status == 200, "{changed:?}");
    }
    Ok(place)
}

/// Creates, changes and reads an order; all requests succeed and reads return what was written. On a busy machine a
/// command may reach its deadline, and the client retries it.
async fn works(house: &TestApp) -> Result<()> {
    let client = house.client.repeating();
    let patient = fresh();
    let order = house.order_with(json!({ "patient_id": patient }));
    let created = client.post("/imaging/orders", &order).await?;
    ensure!(created.status == 201, "{created:?}");
    let place = created.header("location");
    let scheduled = json!({ "status": "scheduled" });
    let moved = client.patch(&place, &scheduled).await?;
    ensure!(moved.status == 200, "{moved:?}");
    let list = format!("/imaging/orders?patient_id={patient}");
    let fresh = client.with("min-log-position", &moved.header("log-position"));
    let listed = fresh.get(&list).await?;
    ensure!(listed.status == 200, "{listed:?}");
    assert_eq!(listed.json(), json!([moved.json()]), "{listed:?}");
    let past = format!("{place}?as_of={}", created.number("log-position"));
    let past = client.get(&past).await?;
    assert_eq!((past.status, past.text), (200, created.text));
    Ok(())
}

async fn waiting_readers_of_one_tenant_leave_places_for_another(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let flood = TestClient::dev(&house.server.base, fresh());
    let after = log_head(&house.client).await?;
    let long = format!("/events?after={after}&wait=60");
    let mut waiting = JoinSet::new();
    for _ in 0..FLOOD {
        let client = flood.clone();
        let long = long.clone();
        waiting.spawn(async move { client.get(&long).await });
    }
    let polled = house.client.get(&long);
    let written = house.create_order(json!({}));
    let (told, order) = futures_util::future::try_join(polled, written).await?;
    assert_eq!((told.status, told.lines().len()), (200, 1), "{told:?}");
    assert_eq!(told.lines()[0]["stream"]["id"], order.json()["id"]);
    waiting.abort_all();
    Ok(())
}
