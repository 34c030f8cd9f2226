//! Reading the feed over HTTP from the first event to the last, compared with `COPY` from the same server.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::Instant;

use crate::database::BenchDatabase;
use crate::http_client::{Connection, Server, header};
use crate::report::{BenchReport, Measure, latencies};

/// Time limit for the policies to process the whole log, and the poll interval.
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) async fn measure(
    report: &mut BenchReport,
    database: &BenchDatabase,
) -> anyhow::Result<()> {
    println!("replay: GET /events?limit=5000 from the first event to the last");
    let server = Server::start(database).await?;
    let token = Server::token(&["auditor"])?;
    let mut connection = Connection::open(&server.address, &token).await?;
    settled(&mut connection, WAIT_TIMEOUT).await?;
    let mut after = 0_u64;
    let mut events = 0_u64;
    let mut each = latencies();
    let started = Instant::now();
    loop {
        let began = Instant::now();
        let page = connection
            .get(&format!("/events?limit=5000&after={after}"))
            .await?;
        ensure!(page.status == 200, "{}", page.head);
        each.record(u64::try_from(began.elapsed().as_micros())?)?;
        let count = page.body.iter().filter(|byte| **byte == b'\n').count() as u64;
        if count == 0 {
            break;
        }
        events += count;
        after = header(&page.head, "scanned-to")
            .context("Scanned-To")?
            .parse()?;
    }
    let measure = Measure::new(
        "replay over HTTP".to_owned(),
        events,
        started.elapsed(),
        &each,
    );
    report.add(&measure);
    report.compare_with_baseline(&measure.name, measure.per_second, ("copy-out", 1), 0.5);
    if let Some(bytes) = server.memory() {
        println!("{:<44} {:>10} MB resident, after", "", bytes / 1_000_000);
    }
    Ok(())
}

/// Waits until the server's policies have processed the whole log: a new server reads all of it while it serves
/// clients.
pub(crate) async fn settled(connection: &mut Connection, limit: Duration) -> anyhow::Result<()> {
    const LAG: &str = "roentgen_policy_lag_events 0\n";
    let far = Instant::now() + limit;
    loop {
        let metrics = connection.get("/metrics").await?;
        if metrics
            .body
            .windows(LAG.len())
            .any(|bytes| bytes == LAG.as_bytes())
        {
            return Ok(());
        }
        ensure!(Instant::now() < far, "policies stay behind");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
