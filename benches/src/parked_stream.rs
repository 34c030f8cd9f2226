//! Time from an append until it is in the read models, while another stream is parked and keeps growing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use roentgen_store::clock;
use roentgen_store::fair::ShareOwner;
use roentgen_store::log::{Append, ExpectedVersion, NewEvent};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::catch_up::some_orders;
use crate::database::{BenchDatabase, BenchNode, order, request};
use crate::report::{BenchReport, Measure, latencies};

/// Orders per second, over all writers, in addition to the events of the parked stream.
const A_SECOND: u32 = 200;
const WRITERS: u32 = 8;
/// Interval between the events of the parked stream.
const POISON_EVERY: Duration = Duration::from_millis(50);
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// Event type that no projection can fold.
const UNFOLDABLE: &str = "ImagingOrder.Unfoldable";

pub(crate) async fn measure(report: &mut BenchReport, duration: Duration) -> anyhow::Result<()> {
    println!("parked: {A_SECOND} orders a second, from the append to the read models");
    let database = BenchDatabase::new().await?;
    let node = Arc::new(BenchNode::start(&database).await?);
    let name = "visible, no stream parked".to_owned();
    report.add(&visible(&node, name, duration).await?);
    let poison = park(&node).await?;
    let name = "visible, a growing stream parked".to_owned();
    let poisoning = poisoned(Arc::clone(&node), poison, duration);
    let (measure, ()) = tokio::try_join!(visible(&node, name, duration), poisoning)?;
    report.add(&measure);
    report.compare_with_budget(
        "100 ms / p99 until visible beside a parked stream",
        100.0,
        measure.p99.as_secs_f64() * 1000.0,
    );
    if let Some(node) = Arc::into_inner(node) {
        node.stop().await;
    }
    database.drop_it().await
}

/// Parks a stream and returns its last event.
async fn park(node: &Arc<BenchNode>) -> anyhow::Result<NewEvent> {
    let mut append = some_orders(node).await?;
    let event = append.events.first_mut().context("no event")?;
    event.event_type = UNFOLDABLE;
    let event = event.clone();
    let deadline = Instant::now() + WAIT_TIMEOUT;
    let appended = node
        .store
        .appender
        .append(ShareOwner::System, append, deadline)
        .await?;
    node.progress.wait_for(appended.position, deadline).await;
    let parked = node.store.engine.parked().await?;
    ensure!(parked.len() == 1, "{} streams are parked", parked.len());
    Ok(event)
}

/// Appends to the parked stream.
async fn poisoned(
    node: Arc<BenchNode>,
    mut event: NewEvent,
    duration: Duration,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + duration;
    let mut tick = interval(POISON_EVERY);
    while tick.tick().await < deadline {
        let check = ExpectedVersion {
            stream_id: event.stream_id,
            expected: event.version,
        };
        event.version += 1;
        event.event_id = clock::fresh_id().into();
        let append = Append {
            events: vec![event.clone()],
            checks: vec![check],
            ..Append::default()
        };
        let limit = Instant::now() + WAIT_TIMEOUT;
        node.store
            .appender
            .append(ShareOwner::System, append, limit)
            .await?;
    }
    Ok(())
}

async fn visible(
    node: &Arc<BenchNode>,
    name: String,
    duration: Duration,
) -> anyhow::Result<Measure> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    let mut all = latencies();
    for _ in 0..WRITERS {
        tasks.spawn(write(Arc::clone(node), started + duration));
    }
    while let Some(each) = tasks.join_next().await {
        all.add(each??)?;
    }
    Ok(Measure::new(name, all.len(), started.elapsed(), &all))
}

async fn write(node: Arc<BenchNode>, deadline: Instant) -> anyhow::Result<Histogram<u64>> {
    let mut latencies = latencies();
    let mut tick = interval(Duration::from_secs(1) / A_SECOND * WRITERS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        let due = tick.tick().await;
        if due >= deadline {
            return Ok(latencies);
        }
        let order = order(node.procedure);
        let outcome = node.executor.execute(&request(), &order).await?;
        let limit = Instant::now() + WAIT_TIMEOUT;
        let reached = node.progress.wait_for(outcome.position, limit).await;
        ensure!(reached >= outcome.position, "the projections stay behind");
        latencies.record(u64::try_from(due.elapsed().as_micros())?)?;
    }
}
