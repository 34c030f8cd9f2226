//! Policy that releases claims without activity.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use roentgen_domain::ids::{
    CorrelationId, EventId, PractitionerId, ReportId, StreamId, StudyAccessId, StudyId, TenantId,
    WorklistItemId,
};
use roentgen_domain::report::Report;
use roentgen_domain::study::Study;
use roentgen_domain::study_access::StudyAccess;
use roentgen_domain::worklist_item::{self, Assignment, Command, Status, WorklistItem};
use roentgen_domain::{Timestamp, Versioned};
use roentgen_store::error::EventReadError;
use roentgen_store::policy_memory::MemoryEntry;
use serde::{Deserialize, Serialize};

use super::{Cause, Effect, Policy, PolicyMemory, TimerOutcome};
use crate::envelope::CommandEnvelope;
use crate::error::{CommandError, DomainError};
use crate::executor::{Executor, UseCase};
use crate::unit_of_work::UnitOfWork;
use crate::worklist::assignment;

/// Memory topic of the claims, keyed by item; a timer is due when the claim would become idle.
const CLAIMS: &str = "claims";

/// Releases claims that are idle for longer than the timeout.
#[derive(Debug)]
pub(super) struct ReleaseIdleClaims {
    /// Time without activity after which a claim is idle.
    pub(super) claim_timeout: Duration,
}

/// Stored claim.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct TrackedClaim {
    study_id: StudyId,
    radiologist_id: PractitionerId,
    claimed_at: Timestamp,
    event_id: EventId,
    correlation_id: CorrelationId,
}

#[async_trait]
impl Policy for ReleaseIdleClaims {
    fn name(&self) -> &'static str {
        "idle_claims"
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[
            "RadiologyWorklistItem.Claimed",
            "RadiologyWorklistItem.Released",
            "RadiologyWorklistItem.Updated",
        ]
    }

    fn react(
        &self,
        cause: &Cause<'_>,
        recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError> {
        let key = cause.memory(CLAIMS, cause.event.stream_id);
        match cause.event::<WorklistItem>()? {
            Some(worklist_item::Event::Claimed(claimed)) => {
                let claim = TrackedClaim {
                    study_id: claimed.imaging_study_id,
                    radiologist_id: claimed.radiologist_id,
                    claimed_at: claimed.claimed_at,
                    event_id: cause.event.event_id,
                    correlation_id: cause.correlation_id(),
                };
                recall.schedule(
                    &key,
                    claim,
                    saturating_add(claimed.claimed_at, self.claim_timeout),
                );
            }
            Some(worklist_item::Event::Released(_)) => recall.remove(&key),
            Some(worklist_item::Event::Updated(updated))
                if updated.status.is_some_and(ends_claim) =>
            {
                recall.remove(&key);
            }
            Some(worklist_item::Event::Updated(_) | worklist_item::Event::Created(_)) | None => {}
        }
        Ok(Vec::new())
    }

    fn timer_topic(&self) -> Option<&'static str> {
        Some(CLAIMS)
    }

    async fn on_timer(
        &self,
        timer: &MemoryEntry,
        executor: &Executor,
    ) -> Result<TimerOutcome, CommandError> {
        let Ok(claim) = serde_json::from_str::<TrackedClaim>(&timer.value) else {
            return Ok(TimerOutcome::Done);
        };
        let correlation = claim.correlation_id;
        let cause = claim.event_id;
        let request = CommandEnvelope::system(timer.tenant_id, correlation, cause, None);
        let release = ReleaseIdle {
            claim,
            claim_timeout: self.claim_timeout,
            idle_from: Mutex::default(),
        };
        executor.execute(&request, &release).await?;
        Ok(release
            .idle_from()
            .map_or(TimerOutcome::Done, TimerOutcome::Reschedule))
    }
}

const fn ends_claim(status: Status) -> bool {
    match status {
        Status::Pending | Status::Completed | Status::Cancelled => true,
        Status::Claimed | Status::InProgress => false,
    }
}

/// Adds a duration to a time. Returns `time` unchanged if the sum is out of range.
fn saturating_add(time: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    let later = time.as_millis().checked_add(by);
    later.and_then(Timestamp::from_millis).unwrap_or(time)
}

/// Command that releases a claim if the same claim is still active and its holder has been idle for too long. The
/// append expects the versions of item, study, report and image accesses that were read.
#[derive(Debug)]
struct ReleaseIdle {
    claim: TrackedClaim,
    claim_timeout: Duration,
    /// Time at which the claim will be idle, if it is active and not idle yet.
    idle_from: Mutex<Option<Timestamp>>,
}

impl ReleaseIdle {
    fn idle_from(&self) -> Option<Timestamp> {
        *self
            .idle_from
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, idle_from: Option<Timestamp>) {
        let mut noted = self
            .idle_from
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *noted = idle_from;
    }

    async fn last_activity(&self, work: &mut UnitOfWork<'_>) -> Result<Timestamp, CommandError> {
        let TrackedClaim {
            study_id,
            radiologist_id: by,
            claimed_at: since,
            ..
        } = self.claim;
        let item = WorklistItemId::derive(study_id);
        let report = ReportId::derive(study_id);
        let looks = StudyAccessId::derive(study_id);
        let words = [
            work.last_activity_by::<WorklistItem>(item, by, since)
                .await?,
            work.last_activity_by::<Study>(study_id, by, since).await?,
            work.last_activity_by::<Report>(report, by, since).await?,
            work.last_activity_by::<StudyAccess>(looks, by, since)
                .await?,
        ];
        let last = words.into_iter().flatten().max();
        Ok(last.map_or(since, |time| time.max(since)))
    }
}

impl UseCase for ReleaseIdle {
    type Aggregate = WorklistItem;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(WorklistItemId::derive(self.claim.study_id).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<WorklistItem>, CommandError> {
        self.note(None);
        let id = WorklistItemId::derive(self.claim.study_id);
        let item = work.read::<WorklistItem>(id).await?;
        let item = item.ok_or_else(|| DomainError::from(worklist_item::Error::NotFound))?;
        let radiologist_id = self.claim.radiologist_id;
        let claimed_at = self.claim.claimed_at;
        let held = Assignment {
            assigned_radiologist_id: radiologist_id,
            claimed_at,
        };
        if item.state.assignment() != Some(held) {
            return Ok((*item).clone());
        }
        let idle_from = saturating_add(self.last_activity(work).await?, self.claim_timeout);
        if idle_from > work.context().now {
            self.note(Some(idle_from));
            return Ok((*item).clone());
        }
        let release = Command::ReleaseIdle {
            radiologist_id,
            claimed_at,
        };
        assignment::decide(work, id, release).await
    }
}
