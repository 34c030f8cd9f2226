//! A complete command in process: decided, sealed for a new patient, with the expected version of its procedure,
//! chained, appended and projected. The baseline is `postgres-es`, which creates an aggregate of the same size.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use roentgen_commands::Idempotency;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::database::{BenchDatabase, BenchNode, TENANT, order, request};
use crate::report::{BenchReport, Measure, latencies};

pub(crate) async fn measure(report: &mut BenchReport, duration: Duration) -> anyhow::Result<()> {
    println!("append: a whole create-order command in process, projections on");
    for with_keys in [false, true] {
        for writers in [1, 8, 64] {
            let database = BenchDatabase::new().await?;
            let node = Arc::new(BenchNode::start(&database).await?);
            let measure = run(&node, writers, with_keys, duration).await?;
            report.add(&measure);
            let at_least = if with_keys { 4.0 } else { 5.0 };
            let at_least = if writers == 64 { at_least } else { 1.0 };
            report.compare_with_baseline(
                &measure.name,
                measure.per_second,
                ("postgres-es", writers),
                at_least,
            );
            let position = node.store.engine.head().await?.position;
            let behind = position - node.progress.position();
            println!("{:<44} {behind:>10} events behind at the end", "");
            if let Some(node) = Arc::into_inner(node) {
                node.stop().await;
            }
            database.drop_it().await?;
        }
    }
    Ok(())
}

async fn run(
    node: &Arc<BenchNode>,
    writers: usize,
    with_keys: bool,
    duration: Duration,
) -> anyhow::Result<Measure> {
    let started = Instant::now();
    let deadline = started + duration;
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        tasks.spawn(write(Arc::clone(node), with_keys, deadline));
    }
    let mut all = latencies();
    while let Some(each) = tasks.join_next().await {
        all.add(each??)?;
    }
    let keys = if with_keys { ", keys" } else { "" };
    let name = format!("append, {writers} writers{keys}");
    Ok(Measure::new(name, all.len(), started.elapsed(), &all))
}

async fn write(
    node: Arc<BenchNode>,
    with_keys: bool,
    deadline: Instant,
) -> anyhow::Result<Histogram<u64>> {
    let mut latencies = latencies();
    while Instant::now() < deadline {
        let mut request = request();
        if with_keys {
            let key = request.correlation_id.to_string();
            let path = "/imaging/orders";
            let idempotency = Idempotency::new(TENANT.into(), "bench", "POST", path, &key, b"{}");
            request.idempotency = Some(idempotency);
        }
        let began = Instant::now();
        node.executor
            .execute(&request, &order(node.procedure))
            .await?;
        latencies.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    Ok(latencies)
}
