//! Connections that cost their clients nothing: 10,000 silent ones and 1,024 HTTP/2 streams whose responses are not
//! read. Measures latencies of other clients, the memory of the server, and the time until the last connection is
//! closed.

mod silent;
mod stalled;

use std::time::Duration;

use anyhow::Context as _;
use roentgen_tests::EngineKind;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;

use crate::fairness::{Memory, Site, Verdict, engine_name, quiet};
use crate::http_client::Server;
use crate::report::BenchReport;

use silent::Silent;
use stalled::Stalled;

/// Time for which the other clients work alone, and in parallel with the connections.
const WARM_UP: Duration = Duration::from_secs(5);
const BESIDE: Duration = Duration::from_secs(40);
const QUIET_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum age of a silent connection, and of a stream that reads nothing, in seconds.
const GONE_SECS: f64 = 30.0;
/// File descriptors of the benchmark in addition to its silent connections.
const FURTHER_DESCRIPTORS: u64 = 1_000;

pub(crate) async fn measure(report: &mut BenchReport) -> anyhow::Result<()> {
    raise_the_limit_of_open_files()?;
    for engine in [EngineKind::Sqlite, EngineKind::Postgres] {
        let name = format!("connections, {}", engine_name(engine));
        println!(
            "{name}: {} silent connections, {} stalled streams",
            silent::CONNECTIONS,
            stalled::CONNECTIONS * stalled::STREAMS
        );
        one(report, &name, engine).await?;
    }
    Ok(())
}

async fn one(report: &mut BenchReport, name: &str, engine: EngineKind) -> anyhow::Result<()> {
    let site = Site::open(engine).await?;
    site.beside(WARM_UP).await?;
    quiet(&site.server.address, QUIET_TIMEOUT).await?;
    let before = site.server.memory().context("no memory")?;
    site.server.forget_peak()?;
    let watch = site.watch();
    let silent = Silent::default();
    let (beside, stalled, opened, ()) = tokio::try_join!(
        site.beside(BESIDE),
        Stalled::held(&site.server.address, &site.flooder),
        silent.opened(&site.server.address),
        shown(&silent, &site.server),
    )?;
    let (mut worked, health) = beside;
    let seen = watch.stop().await?;
    let lag_after = quiet(&site.server.address, QUIET_TIMEOUT).await.ok();
    worked.check_whole_lists(&site.work).await;
    let memory = Memory {
        before,
        peak: site.server.peak_memory(),
        after: site.server.memory(),
    };
    let verdict = Verdict {
        worked,
        health,
        answers: [
            ("silent connections closed".to_owned(), opened.closed),
            ("streams reset".to_owned(), stalled.reset),
            ("streams with an end".to_owned(), stalled.ended),
        ]
        .into(),
        lag_after,
        seen,
        memory,
    };
    verdict.print();
    println!(
        "    the oldest silent connection was {:.1} s old, the oldest stream {:.1} s, its connection {:.1} s",
        opened.oldest.as_secs_f64(),
        stalled.oldest_stream.as_secs_f64(),
        stalled.oldest_connection.as_secs_f64(),
    );
    verdict.judge(report, name);
    verdict.judge_peak(report, name);
    let mut gone = |what: &str, age: Duration| {
        report.below(&format!("{name}: {what}, s"), age.as_secs_f64(), GONE_SECS);
    };
    gone("age of the oldest silent connection", opened.oldest);
    gone("age of the oldest stalled stream", stalled.oldest_stream);
    site.close().await
}

/// Prints a line every few seconds.
async fn shown(silent: &Silent, server: &Server) -> anyhow::Result<()> {
    const EVERY: Duration = Duration::from_secs(2);
    let began = Instant::now();
    let mut tick = tokio::time::interval(EVERY);
    while began.elapsed() < BESIDE {
        tick.tick().await;
        let memory = server.memory().context("no memory")? / 1_000_000;
        let open = silent.open();
        let after = began.elapsed().as_secs_f64();
        println!("    after {after:>4.1} s: {open:>6} silent connections open, {memory} MB");
    }
    Ok(())
}

fn raise_the_limit_of_open_files() -> anyhow::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
    let needed = silent::CONNECTIONS as u64 + FURTHER_DESCRIPTORS;
    anyhow::ensure!(
        maximum.is_none_or(|maximum| maximum >= needed),
        "the limit of open files is {maximum:?}, and {needed} are needed: raise it (ulimit -n)"
    );
    Ok(())
}
