//! Benchmarks of Roentgen and comparison with the baselines, in one run on one machine; `scripts/bench` runs both. The
//! last lines are ratios.
//!
//! Called with `serve` or `export` it is the program `roentgen`: the measured server is a separate process.

mod append;
mod baseline_results;
mod catch_up;
mod connections;
mod database;
mod fairness;
mod filters;
mod http_client;
mod lists;
mod long_log;
mod parked_stream;
mod post_order;
mod realistic_log;
mod relay;
mod replay;
mod report;
mod study_sync;
mod worklist;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use baseline_results::BaselineResults;
use report::BenchReport;

/// Measure Roentgen and compare it with the baselines
#[derive(Debug, Parser)]
struct Options {
    /// Duration of each rate measurement in seconds; default 5, and 20 for each flood of fairness
    #[arg(long)]
    seconds: Option<u64>,
    /// File with the output of the baselines in this run
    #[arg(long)]
    peers: Option<PathBuf>,
    /// Run only measurements whose name contains this text: append, catch-up, replay, post, lists, sync, worklist,
    /// relay, parked; and filters, long, fairness and connections, which run only if named
    #[arg(long, default_value = "")]
    only: String,
    /// Number of orders, and of worklist items, for the measurements of lists
    #[arg(long, default_value_t = 200_000)]
    list_rows: u64,
    /// Number of rows of each read model for the measurement of filters
    #[arg(long, default_value_t = 1_000_000)]
    filter_rows: u64,
    /// Number of events of the long log
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// Run only floods of fairness whose name and engine, such as "rows, sqlite", contain this text
    #[arg(long, default_value = "")]
    flood: String,
    /// Name of the long log's database: created if it does not exist, extended if it is shorter, and retained
    #[arg(long)]
    log: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments
        .get(1)
        .is_some_and(|text| text == "serve" || text == "export")
    {
        return Ok(roentgen_api::cli::run(arguments).await);
    }
    let options = Options::parse();
    let duration = Duration::from_secs(options.seconds.unwrap_or(5));
    let mut report = BenchReport::new(BaselineResults::read(options.peers.as_deref())?);
    let wanted = |name: &str| name.contains(&options.only);
    if wanted("append") {
        append::measure(&mut report, duration).await?;
    }
    if wanted("post") {
        post_order::measure(&mut report, duration).await?;
    }
    if wanted("catch-up") || wanted("replay") {
        let log = catch_up::log_of_orders().await?;
        catch_up::measure(&mut report, &log).await?;
        replay::measure(&mut report, &log).await?;
        log.drop_it().await?;
    }
    if wanted("lists") {
        lists::measure(&mut report, options.list_rows).await?;
    }
    if wanted("sync") {
        study_sync::measure(&mut report).await?;
    }
    if wanted("worklist") {
        worklist::measure(&mut report, options.list_rows).await?;
    }
    if wanted("relay") {
        relay::measure(&mut report, duration).await?;
    }
    if wanted("parked") {
        parked_stream::measure(&mut report, duration).await?;
    }
    if options.only == "long" {
        long_log::measure(options.events, options.log.as_deref()).await?;
    }
    if let Some(code) = within_bounds(&options, &mut report).await? {
        return Ok(code);
    }
    report.print_ratios();
    Ok(ExitCode::SUCCESS)
}

/// Runs the measurements that have bounds instead of ratios and fail beyond them; they run only if named.
async fn within_bounds(
    options: &Options,
    report: &mut BenchReport,
) -> anyhow::Result<Option<ExitCode>> {
    match options.only.as_str() {
        "fairness" => {
            let duration = Duration::from_secs(options.seconds.unwrap_or(20));
            fairness::measure(report, duration, &options.flood).await?;
        }
        "connections" => connections::measure(report).await?,
        "filters" => filters::measure(report, options.filter_rows).await?,
        _ => return Ok(None),
    }
    report.print_bounds();
    Ok(Some(if report.is_beyond_a_bound() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }))
}
