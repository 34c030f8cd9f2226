//! How far the relay is, for those who ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use roentgen_store::engine::Engine;
use roentgen_store::error::EngineError;
use tokio::sync::watch;

use crate::RELAY;
use crate::halt_reason::HaltReason;

/// How long the database may take to say how far the relay is.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// How far the relay is. Clones share it.
#[derive(Debug, Clone)]
pub struct RelayProgress {
    engine: Arc<dyn Engine>,
    acknowledged: Arc<AtomicU64>,
    refused: Arc<watch::Sender<Option<HaltReason>>>,
    link: Arc<watch::Sender<NatsLink>>,
}

/// What this node knows of NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NatsLink {
    /// It has not asked.
    Unknown,
    Connected,
    Unavailable,
}

/// Where the relay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayStatus {
    /// The last position that NATS has acknowledged, as far as is known: never more than that.
    pub published: u64,
    /// Events after it.
    pub lag: u64,
}

impl RelayProgress {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            acknowledged: Arc::default(),
            refused: Arc::new(watch::Sender::new(None)),
            link: Arc::new(watch::Sender::new(NatsLink::Unknown)),
        }
    }

    /// Where the relay stands, over all nodes: from the database, and from this node where it knows more.
    ///
    /// # Errors
    /// The database's. There is no lag that could be told then.
    pub async fn status(&self) -> Result<RelayStatus, EngineError> {
        // In this order: what happens in between makes the lag larger, and never 0 too soon.
        let published = self
            .engine
            .relay_checkpoint(RELAY)
            .await?
            .map_or(0, |checkpoint| checkpoint.position);
        let published = published.max(self.acknowledged());
        let head = self.engine.head().await?.position;
        Ok(RelayStatus {
            published,
            lag: head.saturating_sub(published),
        })
    }

    /// Why the relay stands still, where it does and this node leads.
    pub fn halt_reason(&self) -> Option<HaltReason> {
        self.refused.borrow().clone()
    }

    /// Writes down the metrics that are true when they are asked for.
    pub async fn record_metrics(&self) {
        let standing = tokio::time::timeout(STATUS_TIMEOUT, self.status()).await;
        let standing = standing.ok().and_then(Result::ok);
        let lag = standing.map_or(f64::NAN, |status| status.lag as f64);
        metrics::gauge!("roentgen_relay_lag_events").set(lag);
        let refused = self.halt_reason();
        for name in HaltReason::NAMES {
            let is_it = refused.as_ref().is_some_and(|reason| reason.name() == name);
            metrics::gauge!("roentgen_relay_refused", "problem" => name).set(f64::from(is_it));
        }
        let up = f64::from(*self.link.borrow() == NatsLink::Connected);
        metrics::gauge!("roentgen_relay_connected").set(up);
    }

    /// The last position that was acknowledged to this node; 0 where it has not led.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub(crate) fn record_ack(&self, position: u64) {
        self.acknowledged.store(position, Ordering::Relaxed);
    }

    /// The stream is the right one. `true` where that is news.
    pub(crate) fn mark_connected(&self) -> bool {
        self.refused.send_replace(None);
        self.link.send_replace(NatsLink::Connected) != NatsLink::Connected
    }

    /// NATS is away. `true` where that is news.
    pub(crate) fn mark_unavailable(&self) -> bool {
        self.link.send_replace(NatsLink::Unavailable) != NatsLink::Unavailable
    }

    /// Another node leads.
    pub(crate) fn mark_following(&self) {
        self.refused.send_replace(None);
        self.link.send_replace(NatsLink::Unknown);
    }

    /// The relay stands still. `true` where that is news.
    pub(crate) fn mark_halted(&self, refused: &HaltReason) -> bool {
        let before = self.refused.send_replace(Some(refused.clone()));
        before.as_ref() != Some(refused)
    }
}
