//! A command that outlasts the cache of a patient's key: its response shows only what the patient's current keys open.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use roentgen_commands::{CommandError, UnitOfWork, UseCase};
use roentgen_domain::Versioned;
use roentgen_domain::aggregate::Aggregate as _;
use roentgen_domain::ids::{OrderId, StreamId, TenantId};
use roentgen_domain::order::{Command, Order, Status, Update};
use roentgen_store::keys::KEY_CACHE_TTL;
use roentgen_tests::{EngineKind, poll};

use super::other_type::Beside;
use crate::faults::erasure::destroy_key;
use crate::test_app::on_both_engines;

on_both_engines!(answer_that_outlives_its_key_is_folded_again);

/// Time by which the command starts before the cached key expires; shorter than a command's deadline.
const LATE: Duration = Duration::from_millis(700);
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Schedules an order and does not finish before a given time.
struct Slow {
    order: OrderId,
    done_at: Instant,
}

impl UseCase for Slow {
    type Aggregate = Order;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.order.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Order>, CommandError> {
        let update = Update {
            status: Some(Status::Scheduled),
            ..Update::default()
        };
        let command = Command::Update(Box::new(update));
        let after = work.decide::<Order>(self.order, command).await?;
        assert!(after.state.phi.is_some(), "it was opened in time");
        until(self.done_at).await;
        Ok(after)
    }
}

async fn until(moment: Instant) {
    let now = async || Instant::now();
    let waited = poll::wait_until("a moment", WAIT_TIMEOUT, now, |now| *now >= moment);
    waited.await.expect("time goes on");
}

async fn answer_that_outlives_its_key_is_folded_again(engine: EngineKind) -> Result<()> {
    let beside = Beside::open(engine).await?;
    let ordered = beside.does(&beside.order("LATE-1")?).await?.resource;
    let outdated = Instant::now() + KEY_CACHE_TTL;
    let patient = ordered.state.patient_id().context("no patient")?;
    destroy_key(&beside.house, patient.as_uuid()).await?;
    until(outdated - LATE).await;
    let slow = Slow {
        order: ordered.state.id(),
        done_at: outdated,
    };
    let answer = beside.does(&slow).await?.resource;
    ensure!(answer.version == 2, "{answer:?}");
    ensure!(answer.state.progress.status() == Status::Scheduled);
    ensure!(
        answer.state.phi.is_none(),
        "PHI under a destroyed key was told"
    );
    Ok(())
}
