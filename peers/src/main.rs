//! Baselines: what other programs achieve with the same PostgreSQL, the same row and the same number of writers.
//! Roentgen's benchmarks are compared with these figures; see `peers/README.md`.

mod database;
mod measure;
mod order;
mod postgres_es_peer;
mod raw;
#[cfg(test)]
mod view;

use std::time::Duration;

use clap::Parser;

use crate::database::Scratch;

/// Measure postgres-es and plain SQL on one PostgreSQL
#[derive(Debug, Parser)]
struct Args {
    /// URL of a PostgreSQL whose user may create databases; measurements use a scratch database that is dropped at the
    /// end
    #[arg(long, env = database::VARIABLE, default_value = database::DEFAULT_URL)]
    postgres: String,
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Number of rows that the COPY measurement reads
    #[arg(long, default_value_t = 500_000)]
    copy_rows: u32,
    /// Run only measurements whose name contains this text
    #[arg(long, default_value = "")]
    only: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let scratch = Scratch::create(&args.postgres).await?;
    let outcome = tokio::select! {
        outcome = measure_all(&scratch, &args) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    scratch.drop().await?;
    outcome
}

async fn measure_all(scratch: &Scratch, args: &Args) -> anyhow::Result<()> {
    let seconds = Duration::from_secs(args.seconds);
    let wanted = |name: &str| name.contains(&args.only);
    println!("{}", scratch.describe().await?);
    if wanted(postgres_es_peer::NAME) {
        postgres_es_peer::measure(scratch, seconds).await?;
    }
    if wanted(raw::INSERT) {
        raw::measure_insert(scratch, seconds).await?;
    }
    if wanted(raw::UNNEST) {
        raw::measure_unnest(scratch, seconds).await?;
    }
    if wanted(raw::COPY_OUT) {
        raw::measure_copy_out(scratch, args.copy_rows, seconds).await?;
    }
    Ok(())
}
