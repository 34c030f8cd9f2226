//! Runner that reads the log for the policies and executes their effects on the leader node.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use roentgen_store::checkpoint::CheckpointAhead;
use roentgen_store::clock;
use roentgen_store::error::{EngineError, error_chain};
use roentgen_store::lease::Leadership;
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::log::StoredEvent;
use roentgen_store::pace::YieldPacer;
use roentgen_store::policy_memory::RejectedEffect;
use roentgen_store::subscription::Subscription;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::failure_kind::FailureKind;
use super::planned_effect::{PlannedEffect, lanes, undecodable_event};
use super::policy_memory::PolicyMemory;
use super::timers::Timers;
use super::{Cause, POLICIES, Policy};
use crate::executor::Executor;
use crate::idempotency::EFFECT_RESERVATION_TTL_MS;

/// Maximum number of lanes that run concurrently.
const LANES: usize = 16;
/// Delay between attempts of a failed effect, doubled from the minimum to the maximum.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
const ERROR_BACKOFF: Duration = Duration::from_millis(250);
/// Interval at which a node without the lease checks again whether the checkpoint is ahead of the log.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum delay after a panic.
const AFTER_PANICS: Duration = Duration::from_secs(30);
/// Maximum age of events that cause effects. A reservation expires [`EFFECT_RESERVATION_TTL_MS`] after the append. If
/// the log is processed again from its first event, each executed effect of a younger event still has its reservation,
/// so that no effect is repeated. Older events update the policy memory and have no effects.
const EFFECTS_WITHIN_MS: i64 = EFFECT_RESERVATION_TTL_MS - 24 * 60 * 60 * 1000;

/// Progress of the policies.
#[derive(Debug, Clone)]
pub struct PolicyProgress {
    position: Arc<watch::Sender<u64>>,
    refused: Arc<watch::Sender<Option<CheckpointAhead>>>,
}

impl PolicyProgress {
    /// Returns the last position whose effects are done; 0 on a node that has not been the leader.
    pub fn position(&self) -> u64 {
        *self.position.borrow()
    }

    /// Returns why the policies are halted, if their checkpoint is ahead of the log.
    pub fn halt_reason(&self) -> Option<CheckpointAhead> {
        self.refused.borrow().clone()
    }
}

/// Task that runs the policies.
#[derive(Debug)]
pub struct Runner {
    executor: Executor,
    policies: Vec<Arc<dyn Policy>>,
    progress: PolicyProgress,
    stop: CancellationToken,
}

enum EffectResult {
    Done,
    Rejected(RejectedEffect),
    /// Another node has to continue: this node is stopping or has lost the lease.
    Interrupted,
}

impl Runner {
    /// Starts the policies, which run while this node is the leader. On return, it is known whether their checkpoint is
    /// ahead of the log.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails.
    pub async fn start(
        executor: Executor,
        policies: Vec<Arc<dyn Policy>>,
        leadership: Leadership,
        tasks: &BackgroundTasks,
    ) -> Result<PolicyProgress, EngineError> {
        let progress = PolicyProgress {
            position: Arc::new(watch::Sender::new(0)),
            refused: Arc::new(watch::Sender::new(None)),
        };
        let runner = Self {
            executor,
            policies,
            progress: progress.clone(),
            stop: tasks.token(),
        };
        runner.resume().await?;
        tasks.spawn("policies", supervise(runner, leadership, tasks.clone()));
        Ok(progress)
    }

    async fn run(&self, mut leadership: Leadership) {
        while !self.stop.is_cancelled() {
            if !leadership.held() {
                tokio::select! {
                    () = leadership.gained() => {}
                    () = self.pause(POLL_INTERVAL), if self.progress.halt_reason().is_some() => {}
                    () = self.stop.cancelled() => return,
                }
            }
            match self.lead(&leadership).await {
                Ok(()) => {}
                Err(error) => tracing::warn!(
                    event = "policy.retrying",
                    error = error_chain(&error),
                    "policies paused after an error",
                ),
            }
            self.pause(ERROR_BACKOFF).await;
        }
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Processes events until this node loses the lease or another node advances the checkpoint.
    async fn lead(&self, leadership: &Leadership) -> Result<(), EngineError> {
        let Some(mut log) = self.resume().await? else {
            return Ok(());
        };
        let mut timers = Timers::default();
        while leadership.held() && !self.stop.is_cancelled() {
            let before = log.position();
            let events = log.next().await?;
            let goes_on = if events.is_empty() {
                log.commit_idle().await?
            } else {
                self.react(&mut log, &events, leadership, &mut timers)
                    .await?
            };
            let fired = goes_on
                && timers
                    .run_due(&mut log, &self.policies, &self.executor)
                    .await?;
            if !fired {
                return Ok(());
            }
            self.note(&log);
            let next = async {
                if log.position() == before {
                    log.wait(timers.next()).await
                } else {
                    log.delay_batch().await
                }
            };
            tokio::select! {
                () = next => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn resume(&self) -> Result<Option<Subscription>, EngineError> {
        let store = self.executor.store();
        let types: HashSet<&'static str> = self
            .policies
            .iter()
            .flat_map(|policy| policy.event_types().iter().copied())
            .collect();
        let engine = Arc::clone(&store.engine);
        let tail = Arc::clone(&store.tail);
        match Subscription::resume(engine, tail, POLICIES, types).await? {
            Ok(log) => {
                self.progress.refused.send_replace(None);
                Ok(Some(log))
            }
            Err(refused) => {
                if self.progress.halt_reason().as_ref() != Some(&refused) {
                    tracing::error!(
                        event = "policy.halted",
                        %refused,
                        "policies halted: checkpoint ahead of log",
                    );
                }
                self.progress.refused.send_replace(Some(refused));
                Ok(None)
            }
        }
    }

    fn note(&self, log: &Subscription) {
        self.progress.position.send_replace(log.position());
    }

    /// Passes a batch to the policies, executes the effects, and advances the checkpoint. Returns `false` if another
    /// node has to continue.
    async fn react(
        &self,
        log: &mut Subscription,
        events: &[Arc<StoredEvent>],
        leadership: &Leadership,
        timers: &mut Timers,
    ) -> Result<bool, EngineError> {
        let causes: Vec<Cause<'_>> = events.iter().map(|event| Cause { event }).collect();
        let keys: BTreeSet<_> = self
            .listening(&causes)
            .flat_map(|(policy, cause)| policy.memory_keys(cause))
            .collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let Some(memories) = log.memory(&keys).await? else {
            tracing::warn!(
                event = "policy.superseded",
                "checkpoint moved by another node"
            );
            return Ok(false);
        };
        let mut recall = PolicyMemory::from_entries(memories);
        let (planned, mut refusals) = self.plan(&causes, &mut recall).await;
        let Some(refused) = self.carry_out(planned, leadership).await else {
            return Ok(false);
        };
        refusals.extend(refused);
        if recall.sets_timers() {
            timers.invalidate();
        }
        log.commit(recall.into_changes(refusals)).await
    }

    fn listening<'a, 'e>(
        &'a self,
        causes: &'a [Cause<'e>],
    ) -> impl Iterator<Item = (&'a dyn Policy, &'a Cause<'e>)> {
        causes.iter().flat_map(|cause| {
            let listening = self.policies.iter().filter(|policy| {
                policy
                    .event_types()
                    .iter()
                    .any(|name| *name == &*cause.event.event_type)
            });
            listening.map(move |policy| (&**policy, cause))
        })
    }

    /// Plans the effects of the events, in event order. Also returns the events that could not be decoded. Yields to
    /// other tasks on this thread, because policy memory can be large.
    async fn plan(
        &self,
        causes: &[Cause<'_>],
        recall: &mut PolicyMemory,
    ) -> (Vec<PlannedEffect>, Vec<RejectedEffect>) {
        let mut planned = Vec::new();
        let mut refusals = Vec::new();
        let oldest_ms = clock::now_ms() - EFFECTS_WITHIN_MS;
        let pace = YieldPacer::begin();
        for (policy, cause) in self.listening(causes) {
            pace.rest().await;
            match policy.react(cause, recall) {
                Ok(_) if cause.event.recorded_at_ms < oldest_ms => {}
                Ok(effects) => {
                    let effects = effects.into_iter();
                    planned.extend(
                        effects.map(|effect| PlannedEffect::new(policy, cause.event, effect)),
                    );
                }
                Err(unreadable) => {
                    refusals.push(undecodable_event(policy, cause.event, &unreadable))
                }
            }
        }
        (planned, refusals)
    }

    /// Executes effects lane by lane. Returns the failed ones, or `None` if another node has to continue.
    async fn carry_out(
        &self,
        planned: Vec<PlannedEffect>,
        leadership: &Leadership,
    ) -> Option<Vec<RejectedEffect>> {
        let lanes = stream::iter(lanes(planned));
        let mut running = lanes
            .map(|lane| self.lane(lane, leadership))
            .buffer_unordered(LANES);
        let mut refusals = Vec::new();
        while let Some(refused) = running.next().await {
            refusals.extend(refused?);
        }
        Some(refusals)
    }

    async fn lane(
        &self,
        planned: Vec<PlannedEffect>,
        leadership: &Leadership,
    ) -> Option<Vec<RejectedEffect>> {
        let mut refusals = Vec::new();
        for effect in planned {
            match self.run_effect(&effect, leadership).await {
                EffectResult::Done => {}
                EffectResult::Rejected(refused) => refusals.push(refused),
                EffectResult::Interrupted => return None,
            }
        }
        Some(refusals)
    }

    async fn run_effect(&self, planned: &PlannedEffect, leadership: &Leadership) -> EffectResult {
        let PlannedEffect {
            label,
            effect,
            request,
            position,
        } = planned;
        let mut pause = INITIAL_BACKOFF;
        let mut before = None;
        loop {
            let Err(error) = effect.carry_out(&self.executor, request).await else {
                metrics::counter!("roentgen_policy_effects_total", "effect" => label.clone())
                    .increment(1);
                return EffectResult::Done;
            };
            let failure = FailureKind::classify(&error);
            let since = match before {
                Some((same, since)) if same == failure => since,
                Some(_) | None => Instant::now(),
            };
            if !failure.should_retry(since.elapsed()) {
                return EffectResult::Rejected(planned.refused(failure, &error));
            }
            if before.replace((failure, since)).is_none() {
                let error = error_chain(&error);
                tracing::warn!(
                    event = "policy.effect_retry",
                    effect = label,
                    position,
                    error,
                    "retrying effect",
                );
            }
            if self.stop.is_cancelled() || !leadership.held() {
                return EffectResult::Interrupted;
            }
            self.pause(pause).await;
            pause = (pause * 2).min(MAX_BACKOFF);
        }
    }
}

/// Restarts the runner from the checkpoint after a panic. The delay grows while the position does not advance, because
/// one event may cause the panic each time.
async fn supervise(runner: Runner, leadership: Leadership, tasks: BackgroundTasks) {
    let runner = Arc::new(runner);
    let mut pause = ERROR_BACKOFF;
    let mut position = runner.progress.position();
    loop {
        let again = Arc::clone(&runner);
        let leadership = leadership.clone();
        let run = tasks.run_isolated(async move { again.run(leadership).await });
        let Err(ended) = run.await else { return };
        let reached = runner.progress.position();
        let panicked = ended.is_panic();
        tracing::error!(
            event = "policy.restarted",
            panicked,
            position = reached,
            "policy runner restarted",
        );
        metrics::counter!("roentgen_policy_restarts_total").increment(1);
        pause = if reached > position {
            ERROR_BACKOFF
        } else {
            pause
        };
        position = reached;
        runner.pause(pause).await;
        pause = (pause * 2).min(AFTER_PANICS);
    }
}
