//! Waiting until the server is idle.

use std::time::Duration;

use anyhow::ensure;
use serde_json::Value;
use tokio::time::Instant;

use crate::fairness::PROBES_FROM;
use crate::http_client::Connection;

const PAUSE: Duration = Duration::from_millis(20);

/// Returns the lag of the read models in events, from `/health/ready`, or `None` if the server is not ready.
pub(crate) async fn lag(address: &str) -> anyhow::Result<Option<u64>> {
    let mut connection = Connection::open_from(PROBES_FROM, address, None).await?;
    let ready = connection.get("/health/ready").await?;
    let body: Value = serde_json::from_slice(&ready.body)?;
    Ok(body.get("lag").and_then(Value::as_u64))
}

/// Waits until the read models have no lag, and returns the time that this took.
pub(crate) async fn quiet(address: &str, limit: Duration) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        if let Ok(Some(0)) = lag(address).await {
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < limit, "the read models stay behind");
        tokio::time::sleep(PAUSE).await;
    }
}
