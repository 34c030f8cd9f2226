//! Leases: the right of one node to run policies and relay, or to project a table of a read model.
//!
//! Leases expire by the database's clock. Holding a lease is a matter of efficiency, not of safety: all writes of a
//! leader are fenced by compare-and-set on its checkpoint, so that a paused holder that resumes does no harm. A node
//! requests all its leases at the same time, and usually one node holds all of them. Nodes of two releases project
//! different tables and hold different leases.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::engine::LeaseStore;
use crate::error::error_chain;
use crate::lifecycle::BackgroundTasks;

/// Duration of a lease without renewal. After a node dies, another one takes over within this time plus one renewal
/// interval.
const TTL: Duration = Duration::from_secs(4);
const RENEW_INTERVAL: Duration = Duration::from_secs(1);

/// Name of the lease for policies and relay.
pub const LEADER: &str = "leader";

/// The leases that this node requests, and those that it holds now.
#[derive(Debug, Clone)]
pub struct Leases {
    scope: &'static str,
    held: watch::Receiver<BTreeSet<String>>,
}

impl Leases {
    /// Starts acquiring and renewing leases. In the database, `scope` precedes each name; it is empty if all nodes of
    /// the database compete for the leases.
    pub fn start(
        store: Arc<dyn LeaseStore>,
        scope: &'static str,
        names: impl IntoIterator<Item = String>,
        tasks: &BackgroundTasks,
    ) -> Self {
        let (leads, held) = watch::channel(BTreeSet::new());
        let names = names.into_iter().map(|name| format!("{scope}{name}"));
        let seeker = LeaseRenewer {
            store,
            names: names.collect(),
            leads,
        };
        tasks.spawn("leadership", seeker.run(tasks.token()));
        Self { scope, held }
    }

    /// Returns whether this node holds the lease `name`.
    pub fn holds(&self, name: &str) -> bool {
        self.held.borrow().contains(&self.named(name))
    }

    /// Returns the state of a single lease.
    pub fn leadership(&self, name: &str) -> Leadership {
        Leadership {
            name: self.named(name),
            held: self.held.clone(),
        }
    }

    /// Waits until the set of leases held changes.
    pub async fn changed(&mut self) {
        if self.held.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns whether the set of leases held has changed since the last [`Self::changed`] or [`Self::mark_seen`].
    pub fn has_changed(&self) -> bool {
        self.held.has_changed().unwrap_or(false)
    }

    /// Marks the current set of leases as seen.
    pub fn mark_seen(&mut self) {
        self.held.mark_unchanged();
    }

    fn named(&self, name: &str) -> String {
        format!("{}{name}", self.scope)
    }
}

/// The state of one lease: whether this node holds it now.
#[derive(Debug, Clone)]
pub struct Leadership {
    name: String,
    held: watch::Receiver<BTreeSet<String>>,
}

impl Leadership {
    /// Returns whether this node holds the lease.
    pub fn held(&self) -> bool {
        self.held.borrow().contains(&self.name)
    }

    /// Waits until this node holds the lease.
    pub async fn gained(&mut self) {
        let name = &self.name;
        if self
            .held
            .wait_for(|held| held.contains(name))
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until this node does not hold the lease.
    pub async fn lost(&mut self) {
        let name = &self.name;
        let _ = self.held.wait_for(|held| !held.contains(name)).await;
    }
}

struct LeaseRenewer {
    store: Arc<dyn LeaseStore>,
    names: Vec<String>,
    leads: watch::Sender<BTreeSet<String>>,
}

impl LeaseRenewer {
    async fn run(self, stop: CancellationToken) {
        let holder = clock::fresh_id();
        let mut tick = tokio::time::interval(RENEW_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut held_until = Instant::now();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => break,
            }
            let asked = Instant::now();
            let answer = self.store.acquire_leases(&self.names, holder, TTL);
            match tokio::time::timeout(TTL, answer).await {
                Ok(Ok(held)) => {
                    held_until = asked + TTL;
                    self.publish_held(held.into_iter().collect());
                }
                Ok(Err(error)) => {
                    tracing::warn!(
                        event = "lease.renew_failed",
                        error = error_chain(&error),
                        "lease renewal failed",
                    );
                }
                Err(_elapsed) => tracing::warn!(
                    event = "lease.renew_failed",
                    timeout = true,
                    "lease renewal failed",
                ),
            }
            if Instant::now() >= held_until {
                self.publish_held(BTreeSet::new());
            }
        }
        self.leads.send_replace(BTreeSet::new());
        if let Err(error) = self.store.release_leases(holder).await {
            tracing::warn!(
                event = "lease.release_failed",
                error = error_chain(&error),
                "lease release failed",
            );
        }
    }

    fn publish_held(&self, held: BTreeSet<String>) {
        let count = held.len();
        let changed = self.leads.send_if_modified(|lead| {
            let changed = *lead != held;
            *lead = held;
            changed
        });
        if changed {
            tracing::info!(
                event = "lease.changed",
                held = count,
                of = self.names.len(),
                "leases held changed",
            );
        }
    }
}
