//! Progress of the relay, for metrics, readiness and operators.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use roentgen_store::engine::SubscriptionStore;
use roentgen_store::error::EngineError;
use tokio::sync::watch;

use crate::RELAY;
use crate::halt_reason::HaltReason;

/// Timeout of the database query for the relay's status, 2 s.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// Progress of the relay. Clones share it.
#[derive(Debug, Clone)]
pub struct RelayProgress {
    store: Arc<dyn SubscriptionStore>,
    acknowledged: Arc<AtomicU64>,
    refused: Arc<watch::Sender<Option<HaltReason>>>,
    link: Arc<watch::Sender<NatsLink>>,
}

/// Connection state of this node to NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NatsLink {
    /// Not connected yet.
    Unknown,
    Connected,
    Unavailable,
}

/// Published position and lag of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayStatus {
    /// Last position known to be acknowledged by NATS. The true position is never lower.
    pub published: u64,
    /// Number of events after it.
    pub lag: u64,
}

impl RelayProgress {
    pub(crate) fn new(store: Arc<dyn SubscriptionStore>) -> Self {
        Self {
            store,
            acknowledged: Arc::default(),
            refused: Arc::new(watch::Sender::new(None)),
            link: Arc::new(watch::Sender::new(NatsLink::Unknown)),
        }
    }

    /// Returns the status of the relay over all nodes, from the database, or from this node if it is further ahead.
    ///
    /// # Errors
    /// [`EngineError`] if the database fails. The lag is unknown then.
    pub async fn status(&self) -> Result<RelayStatus, EngineError> {
        // The published position is read first: events in between can make the lag too large, but never 0 too early.
        let published = self
            .store
            .relay_checkpoint(RELAY)
            .await?
            .map_or(0, |checkpoint| checkpoint.position);
        let published = published.max(self.acknowledged());
        let head = self.store.head().await?.position;
        Ok(RelayStatus {
            published,
            lag: head.saturating_sub(published),
        })
    }

    /// Returns why the relay is halted, if it is halted and this node is the leader.
    pub fn halt_reason(&self) -> Option<HaltReason> {
        self.refused.borrow().clone()
    }

    /// Records the metrics that are computed when they are scraped.
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

    /// Returns the last position that was acknowledged to this node; 0 if it has not been the leader.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub(crate) fn record_ack(&self, position: u64) {
        self.acknowledged.store(position, Ordering::Relaxed);
    }

    /// Marks the relay as connected to the expected stream. Returns `true` if it was not before.
    pub(crate) fn mark_connected(&self) -> bool {
        self.refused.send_replace(None);
        self.link.send_replace(NatsLink::Connected) != NatsLink::Connected
    }

    /// Marks NATS as unavailable. Returns `true` if it was not before.
    pub(crate) fn mark_unavailable(&self) -> bool {
        self.link.send_replace(NatsLink::Unavailable) != NatsLink::Unavailable
    }

    /// Marks another node as the leader.
    pub(crate) fn mark_following(&self) {
        self.refused.send_replace(None);
        self.link.send_replace(NatsLink::Unknown);
    }

    /// Marks the relay as halted. Returns `true` if the reason is new.
    pub(crate) fn mark_halted(&self, refused: &HaltReason) -> bool {
        let before = self.refused.send_replace(Some(refused.clone()));
        before.as_ref() != Some(refused)
    }
}
