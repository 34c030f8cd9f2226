//! An operator's monitoring: `/health/live`, each probe on a separate connection, and the lag of the read models.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::fairness::{PROBES_FROM, pages};
use crate::http_client::{Connection, Server};
use crate::report::latencies;

const PROBE_EVERY: Duration = Duration::from_millis(50);
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Results of the probes.
#[derive(Debug)]
pub(crate) struct Probed {
    pub(crate) each: Histogram<u64>,
    /// Number of probes that did not return 200.
    pub(crate) failed: u64,
}

impl Probed {
    /// Sends probes at a fixed rate, regardless of the outcome of earlier ones.
    pub(crate) async fn run(address: String, duration: Duration) -> anyhow::Result<Probed> {
        let began = Instant::now();
        let mut tick = interval(PROBE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut probes = JoinSet::new();
        loop {
            let due = tick.tick().await;
            if due - began >= duration {
                break;
            }
            probes.spawn(probe(address.clone(), due));
        }
        let mut probed = Probed {
            each: latencies(),
            failed: 0,
        };
        for (took, is_live) in probes.join_all().await {
            probed.each.record(u64::try_from(took.as_micros())?)?;
            probed.failed += u64::from(!is_live);
        }
        Ok(probed)
    }
}

async fn probe(address: String, due: Instant) -> (Duration, bool) {
    let asked = async {
        let mut connection = Connection::open_from(PROBES_FROM, &address, None).await?;
        connection.get("/health/live").await
    };
    let answer = timeout(PROBE_TIMEOUT, asked).await;
    let is_live = answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status == 200));
    (due.elapsed(), is_live)
}

/// Repeated check of the read models' lag.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    looking: JoinSet<Seen>,
}

/// Observed values.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) most_lag: u64,
    /// Number of times that the server said that it is not ready.
    pub(crate) not_ready: u64,
}

impl Watch {
    pub(crate) fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut looking = JoinSet::new();
        looking.spawn(look(server.address.clone(), Arc::clone(&stop)));
        Self { stop, looking }
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.looking.join_next().await;
        Ok(seen.transpose()?.unwrap_or_default())
    }
}

async fn look(address: String, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        match timeout(PROBE_TIMEOUT, pages::lag(&address)).await {
            Ok(Ok(Some(lag))) => seen.most_lag = seen.most_lag.max(lag),
            Ok(Ok(None) | Err(_)) | Err(_) => seen.not_ready += 1,
        }
    }
    seen
}
