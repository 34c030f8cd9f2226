//! One leader: the node that projects (and, later, runs policies and relays).
//!
//! A lease by the database's clock. Holding it is a matter of efficiency, not of safety: whatever the leader does is
//! fenced by a compare-and-set on its checkpoint, so that a paused holder that wakes up does no harm.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::engine::Engine;
use crate::error::causes;
use crate::lifecycle::Tasks;

/// How long a lease lasts without renewal; another node takes over this long after a death, and one renewal.
const TTL: Duration = Duration::from_secs(4);
const RENEWED_EVERY: Duration = Duration::from_secs(1);

/// Whether this node leads, as of now.
#[derive(Debug, Clone)]
pub struct Leadership(watch::Receiver<bool>);

impl Leadership {
    /// Starts asking for the lease `name`, and renewing it.
    pub fn seek(engine: Arc<dyn Engine>, name: &'static str, tasks: &Tasks) -> Self {
        let (leads, leadership) = watch::channel(false);
        tasks.spawn("leadership", seek(engine, name, leads, tasks.token()));
        Self(leadership)
    }

    /// Whether this node leads.
    pub fn held(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until this node leads.
    pub async fn gained(&mut self) {
        if self.0.wait_for(|leads| *leads).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until it does not.
    pub async fn lost(&mut self) {
        let _ = self.0.wait_for(|leads| !*leads).await;
    }
}

async fn seek(
    engine: Arc<dyn Engine>,
    name: &'static str,
    leads: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let holder = clock::fresh_id();
    let mut tick = tokio::time::interval(RENEWED_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut held_until = Instant::now();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => break,
        }
        let asked = Instant::now();
        match tokio::time::timeout(TTL, engine.lease(name, holder, TTL)).await {
            Ok(Ok(true)) => held_until = asked + TTL,
            Ok(Ok(false)) => held_until = asked,
            Ok(Err(error)) => {
                tracing::warn!(
                    lease = name,
                    error = causes(&error),
                    "the lease was not renewed"
                );
            }
            Err(_elapsed) => tracing::warn!(lease = name, "the lease was not renewed in time"),
        }
        let held = Instant::now() < held_until;
        if leads.send_if_modified(|it| std::mem::replace(it, held) != held) {
            tracing::info!(lease = name, held, "leadership changed");
        }
    }
    leads.send_replace(false);
    if let Err(error) = engine.release_lease(name, holder).await {
        tracing::warn!(
            lease = name,
            error = causes(&error),
            "the lease was not given back"
        );
    }
}
