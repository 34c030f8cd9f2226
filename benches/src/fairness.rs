//! One tenant floods the server and another one works. Measures the other tenant's latencies, the correctness of its
//! reads, and the memory that remains after the flood. Each flood has a separate server, on both engines.

mod flood;
mod floods;
mod guard;
mod pages;
mod probes;
mod verdict;
mod work;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use roentgen_store::clock;
use roentgen_tests::EngineKind;
use tokio::time::Instant;
use uuid::Uuid;

use crate::database::{Fresh, flush_page_cache};
use crate::http_client::Server;
use crate::report::BenchReport;

use flood::Flood;
use floods::Kind;
use guard::MemoryGuard;
use probes::{Probed, Watch};
use work::{Figures, Work};

pub(crate) use pages::quiet;
pub(crate) use verdict::{Memory, Verdict};

/// Source address of a flood's callers: connections per address are limited.
pub(crate) const FLOODS_FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
pub(crate) const WORKS_FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
pub(crate) const PROBES_FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
/// Time for which the working tenant warms up a server alone.
const WARM_UP: Duration = Duration::from_secs(5);
/// Time limit for the read models to catch up, and for memory to be released.
const LAG_TIMEOUT: Duration = Duration::from_secs(60);
const MEMORY_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between probes while memory is released.
const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// Measures each flood whose name contains `flood`, on both engines.
pub(crate) async fn measure(
    report: &mut BenchReport,
    duration: Duration,
    flood: &str,
) -> anyhow::Result<()> {
    for kind in Kind::ALL {
        for engine in [EngineKind::Sqlite, EngineKind::Postgres] {
            let name = format!("{}, {}", kind.name(), engine_name(engine));
            if name.contains(flood) {
                println!("fairness: {name}: {}", kind.describe());
                one(report, &name, kind, engine, duration).await?;
            }
        }
    }
    Ok(())
}

pub(crate) const fn engine_name(engine: EngineKind) -> &'static str {
    match engine {
        EngineKind::Sqlite => "sqlite",
        EngineKind::Postgres => "postgres",
    }
}

async fn one(
    report: &mut BenchReport,
    name: &str,
    kind: Kind,
    engine: EngineKind,
    duration: Duration,
) -> anyhow::Result<()> {
    flush_page_cache().await?;
    let site = Site::open(engine).await?;
    let callers = kind.callers(&site).await?;
    site.beside(WARM_UP).await?;
    quiet(&site.server.address, LAG_TIMEOUT).await?;
    let before = site.server.memory().context("no memory")?;
    site.server.forget_peak()?;
    let watching = site.watch();
    let flood = Flood::start(&site.server.address, &site.flooder, callers);
    let (mut worked, health) = site.beside(duration).await?;
    let answers = flood.stop();
    let ended = Instant::now();
    let seen = watching.stop().await?;
    let lag_after = quiet(&site.server.address, LAG_TIMEOUT).await.ok();
    let peak = site.server.peak_memory();
    worked.check_whole_lists(&site.work).await;
    let after = memory_given_back(&site.server, before, ended).await;
    let verdict = Verdict {
        worked,
        health,
        answers,
        lag_after,
        seen,
        memory: Memory {
            before,
            peak,
            after,
        },
    };
    verdict.print();
    verdict.judge(report, name);
    site.close().await
}

/// Waits until the server's memory is within its bound or a timeout passes, and returns it, or `None` if the server has
/// ended. The server is probed while waiting, as in production.
async fn memory_given_back(server: &Server, before: u64, since: Instant) -> Option<u64> {
    loop {
        let now = server.memory()?;
        if now <= verdict::allowed(before) || since.elapsed() >= MEMORY_TIMEOUT {
            return Some(now);
        }
        let _ = pages::lag(&server.address).await;
        tokio::time::sleep(PROBE_PAUSE).await;
    }
}

/// Server, the tenant that works on it, and the tenant that floods it.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) work: Arc<Work>,
    /// Token of the flooding admin.
    pub(crate) flooder: String,
    _guard: MemoryGuard,
    database: Fresh,
}

impl Site {
    pub(crate) async fn open(engine: EngineKind) -> anyhow::Result<Self> {
        let database = Fresh::new(engine).await?;
        let server = Server::start_on(&database.url(), &[]).await?;
        let guard = MemoryGuard::start(&server);
        let work = Arc::new(Work::begin(&server, Uuid::from_u128(2)).await?);
        let flooder = Server::token_of(clock::fresh_id(), &["admin"], None)?;
        Ok(Self {
            server,
            work,
            flooder,
            _guard: guard,
            database,
        })
    }

    /// Runs the working tenant and an operator's probe for this time and returns what both measured. They run on a
    /// separate thread, so that they do not wait for the flood's callers.
    pub(crate) async fn beside(&self, duration: Duration) -> anyhow::Result<(Figures, Probed)> {
        let work = Arc::clone(&self.work);
        let address = self.server.address.clone();
        let both = async move {
            let probes = Probed::run(address, duration);
            tokio::try_join!(work.run(duration), probes)
        };
        let own_thread = tokio::task::spawn_blocking(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build()?.block_on(both)
        });
        own_thread.await?
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch::start(&self.server)
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        drop(self.server);
        self.database.drop_it().await
    }
}
