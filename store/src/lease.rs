//! Who leads: the node that runs policies and relay, and the node that projects a read model's table.
//!
//! A lease by the database's clock. Holding it is a matter of efficiency, not of safety: whatever a leader does is
//! fenced by a compare-and-set on its checkpoint, so that a paused holder that wakes up does no harm. A node asks for
//! all its leases at once, and as a rule one node holds all of them; nodes of two releases have tables of their own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::engine::Engine;
use crate::error::error_chain;
use crate::lifecycle::BackgroundTasks;

/// How long a lease lasts without renewal; another node takes over this long after a death, and one renewal.
const TTL: Duration = Duration::from_secs(4);
const RENEW_INTERVAL: Duration = Duration::from_secs(1);

/// The lease of policies and relay.
pub const LEADER: &str = "leader";

/// The leases that this node asks for, and those that it holds, as of now.
#[derive(Debug, Clone)]
pub struct Leases {
    scope: &'static str,
    held: watch::Receiver<BTreeSet<String>>,
}

impl Leases {
    /// Starts asking for leases, and renewing them. In the database their names stand behind `scope`, which is empty
    /// where nodes are to tell who leads among themselves.
    pub fn start(
        engine: Arc<dyn Engine>,
        scope: &'static str,
        names: impl IntoIterator<Item = String>,
        tasks: &BackgroundTasks,
    ) -> Self {
        let (leads, held) = watch::channel(BTreeSet::new());
        let names = names.into_iter().map(|name| format!("{scope}{name}"));
        let seeker = LeaseRenewer {
            engine,
            names: names.collect(),
            leads,
        };
        tasks.spawn("leadership", seeker.run(tasks.token()));
        Self { scope, held }
    }

    /// Whether this node holds the lease.
    pub fn holds(&self, name: &str) -> bool {
        self.held.borrow().contains(&self.named(name))
    }

    /// One of them by itself.
    pub fn leadership(&self, name: &str) -> Leadership {
        Leadership {
            name: self.named(name),
            held: self.held.clone(),
        }
    }

    /// Waits until this node holds others than when this was last asked.
    pub async fn changed(&mut self) {
        if self.held.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether this node holds others than when [`Self::changed`] or [`Self::mark_seen`] was last asked.
    pub fn has_changed(&self) -> bool {
        self.held.has_changed().unwrap_or(false)
    }

    /// What is held now is known.
    pub fn mark_seen(&mut self) {
        self.held.mark_unchanged();
    }

    fn named(&self, name: &str) -> String {
        format!("{}{name}", self.scope)
    }
}

/// Whether this node holds one lease, as of now.
#[derive(Debug, Clone)]
pub struct Leadership {
    name: String,
    held: watch::Receiver<BTreeSet<String>>,
}

impl Leadership {
    /// Whether this node leads.
    pub fn held(&self) -> bool {
        self.held.borrow().contains(&self.name)
    }

    /// Waits until this node leads.
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

    /// Waits until it does not.
    pub async fn lost(&mut self) {
        let name = &self.name;
        let _ = self.held.wait_for(|held| !held.contains(name)).await;
    }
}

struct LeaseRenewer {
    engine: Arc<dyn Engine>,
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
            let answer = self.engine.acquire_leases(&self.names, holder, TTL);
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
        if let Err(error) = self.engine.release_leases(holder).await {
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
