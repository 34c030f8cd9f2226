//! Runs workers concurrently for a given time and reports their throughput and latency.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

/// Writer (or reader) of a measurement.
pub trait Worker: Send + 'static {
    /// Does one unit of work and returns the number of rows written or read.
    fn step(&mut self) -> impl Future<Output = anyhow::Result<u64>> + Send;
}

/// Runs the workers concurrently for `time`, then prints one line for people and one for programs. Every worker makes
/// at least one step, and a started step is finished and counted.
pub async fn measure<W: Worker>(name: &str, workers: Vec<W>, time: Duration) -> anyhow::Result<()> {
    let writers = workers.len();
    let start = Instant::now();
    let mut running = JoinSet::new();
    for worker in workers {
        running.spawn(step_until(worker, start + time));
    }
    let mut all = Tally::default();
    while let Some(tally) = running.join_next().await {
        all.add(tally.context("a worker panicked")??);
    }
    all.print(name, writers, start.elapsed());
    Ok(())
}

async fn step_until<W: Worker>(mut worker: W, end: Instant) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    loop {
        let start = Instant::now();
        tally.rows += worker.step().await?;
        tally.steps.push(start.elapsed());
        if Instant::now() >= end {
            return Ok(tally);
        }
    }
}

/// Total number of rows, and the duration of each step.
#[derive(Debug, Default)]
struct Tally {
    rows: u64,
    steps: Vec<Duration>,
}

impl Tally {
    fn add(&mut self, mut other: Self) {
        self.rows += other.rows;
        self.steps.append(&mut other.steps);
    }

    fn print(mut self, name: &str, writers: usize, elapsed: Duration) {
        self.steps.sort_unstable();
        let per_second = self.rows as f64 / elapsed.as_secs_f64();
        let p50 = self.percentile_ms(50);
        let p99 = self.percentile_ms(99);
        println!(
            "{name:<16} {writers:>3} at once  {per_second:>10.0} rows/s  p50 {p50:.3} ms  p99 {p99:.3} ms a step"
        );
        println!(
            "peer {name} writers={writers} per_second={per_second:.1} p50_ms={p50:.3} p99_ms={p99:.3}"
        );
    }

    /// Returns the nearest-rank percentile of the sorted steps; a `measure` has at least one.
    fn percentile_ms(&self, percent: usize) -> f64 {
        let rank = (self.steps.len() * percent).div_ceil(100);
        let step = self.steps.get(rank.saturating_sub(1));
        step.copied().unwrap_or_default().as_secs_f64() * 1_000.0
    }
}
