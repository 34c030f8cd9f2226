//! Policy that marks critical results that were not communicated by their deadline.

use async_trait::async_trait;
use roentgen_domain::Timestamp;
use roentgen_domain::Versioned;
use roentgen_domain::ids::{CorrelationId, EventId, ReportId, StreamId, TenantId};
use roentgen_domain::report::{self, Command, Report};
use roentgen_store::error::EventReadError;
use roentgen_store::policy_memory::MemoryEntry;
use serde::{Deserialize, Serialize};

use super::{Cause, Effect, Policy, PolicyMemory, TimerOutcome};
use crate::envelope::CommandEnvelope;
use crate::error::{CommandError, DomainError};
use crate::executor::{Executor, UseCase};
use crate::unit_of_work::UnitOfWork;

/// Memory topic of the deadlines, keyed by report and event position.
const DEADLINES: &str = "critical_results";

/// Sets a timer on `RadiologyReport.CriticalResult`, and marks the result as overdue if it is not communicated in time.
#[derive(Debug)]
pub(super) struct EscalateCriticalResults;

/// Stored critical result of a timer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct PendingEscalation {
    report_id: ReportId,
    deadline: Timestamp,
    event_id: EventId,
    correlation_id: CorrelationId,
}

#[async_trait]
impl Policy for EscalateCriticalResults {
    fn name(&self) -> &'static str {
        "critical_results"
    }

    fn event_types(&self) -> &'static [&'static str] {
        &["RadiologyReport.CriticalResult"]
    }

    fn react(
        &self,
        cause: &Cause<'_>,
        recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError> {
        if let Some(report::Event::CriticalResult(result)) = cause.event::<Report>()? {
            let raised = PendingEscalation {
                report_id: result.report_id,
                deadline: result.deadline,
                event_id: cause.event.event_id,
                correlation_id: cause.correlation_id(),
            };
            let name = format!("{}:{}", result.report_id, cause.event.position);
            recall.schedule(&cause.memory(DEADLINES, name), raised, result.deadline);
        }
        Ok(Vec::new())
    }

    fn timer_topic(&self) -> Option<&'static str> {
        Some(DEADLINES)
    }

    async fn on_timer(
        &self,
        timer: &MemoryEntry,
        executor: &Executor,
    ) -> Result<TimerOutcome, CommandError> {
        let Ok(raised) = serde_json::from_str::<PendingEscalation>(&timer.value) else {
            return Ok(TimerOutcome::Done);
        };
        let correlation = raised.correlation_id;
        let cause = raised.event_id;
        let request = CommandEnvelope::system(timer.tenant_id, correlation, cause, None);
        let mark = MarkOverdue(raised.report_id);
        match executor.execute(&request, &mark).await {
            // A result that was raised again has a new timer.
            Ok(_) | Err(CommandError::Domain(DomainError::Report(report::Error::NotDue))) => {
                Ok(TimerOutcome::Done)
            }
            Err(error) => Err(error),
        }
    }
}

/// Command that marks the critical result of a report as overdue, if its deadline has passed.
#[derive(Debug, Clone, Copy)]
struct MarkOverdue(ReportId);

impl UseCase for MarkOverdue {
    type Aggregate = Report;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.0.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Report>, CommandError> {
        let before = work.read::<Report>(self.0).await?;
        let after = work.decide::<Report>(self.0, Command::MarkOverdue).await?;
        if before.is_some_and(|report| report.version < after.version) {
            metrics::counter!("roentgen_critical_results_overdue_total").increment(1);
        }
        Ok(after)
    }
}
