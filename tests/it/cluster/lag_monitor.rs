//! Comparison of reported with actual lag: no node may report a lag of 0 while events are missing.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use roentgen_commands::policies::POLICIES;
use roentgen_store::engine::Engine as Log;
use roentgen_tests::{Nats, TestClient, TestDatabase};
use serde_json::Value;

use crate::read_model_audit::projected;

/// Reads the database and NATS directly.
pub(crate) struct LagMonitor<'a> {
    log: Arc<dyn Log>,
    nats: &'a Nats,
}

/// Lags of read models, policies and relay.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Lags {
    pub(crate) projected: f64,
    pub(crate) decided: f64,
    pub(crate) relayed: f64,
}

impl<'a> LagMonitor<'a> {
    pub(crate) async fn start(database: &TestDatabase, nats: &'a Nats) -> Result<Self> {
        let log = roentgen_store::database::DatabaseUrl::parse(&database.url)?;
        let log = log.connect().await?;
        Ok(Self { log, nats })
    }

    pub(crate) async fn close(self) {
        self.log.close().await;
    }

    /// Reads the lag of a node, which must answer, and checks it unless the database or NATS is unavailable. Returns
    /// the reported lag; NaN means unknown.
    pub(crate) async fn look(&self, node: &TestClient) -> Result<Lags> {
        let before = self.log.head().await;
        let said = [metrics(node).await?, readiness(node).await?];
        if let (Ok(before), Ok(truth)) = (before, self.truth().await) {
            for said in said {
                said.assert_not_underreported(truth, before.position)?;
            }
        }
        Ok(said[0])
    }

    /// Returns the last processed position of read models, policies and relay.
    async fn truth(&self) -> Result<[u64; 3]> {
        let info = self.nats.info().await?.context("no stream")?;
        Ok([
            projected(&*self.log).await?,
            self.log.checkpoint(POLICIES).await?.position,
            info.state.last_sequence,
        ])
    }
}

impl Lags {
    const UNKNOWN: Self = Self {
        projected: f64::NAN,
        decided: f64::NAN,
        relayed: f64::NAN,
    };

    /// Returns whether all lags were reported.
    pub(crate) fn is_known(&self) -> bool {
        [self.projected, self.decided, self.relayed]
            .iter()
            .all(|number| !number.is_nan())
    }

    /// Checks that a lag reported as 0 means that the position has reached `head` by now.
    fn assert_not_underreported(&self, reached: [u64; 3], head: u64) -> Result<()> {
        let said = [self.projected, self.decided, self.relayed];
        for (said, reached) in said.into_iter().zip(reached) {
            ensure!(
                said != 0.0 || reached >= head,
                "said that nothing is missing at {head}: {self:?}, and is at {reached}"
            );
        }
        Ok(())
    }
}

/// Returns the lags from the metrics; a missing metric is unknown.
async fn metrics(node: &TestClient) -> Result<Lags> {
    let scraped = node.get("/metrics").await?;
    ensure!(scraped.status == 200, "{scraped:?}");
    let of = |name: &str| {
        let mut lines = scraped.text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
    };
    Ok(Lags {
        projected: of("roentgen_projection_lag_events"),
        decided: of("roentgen_policy_lag_events"),
        relayed: of("roentgen_relay_lag_events"),
    })
}

async fn readiness(node: &TestClient) -> Result<Lags> {
    let ready = node.get("/health/ready").await?;
    if ready.status == 503 {
        ensure!(ready.number("retry-after") > 0, "{ready:?}");
        return Ok(Lags::UNKNOWN);
    }
    ensure!(ready.status == 200, "{ready:?}");
    let told = ready.json();
    let of = |pointer: &str| told.pointer(pointer).and_then(Value::as_f64);
    Ok(Lags {
        projected: of("/lag").unwrap_or(f64::NAN),
        decided: f64::NAN,
        relayed: of("/relay/lag").unwrap_or(f64::NAN),
    })
}
