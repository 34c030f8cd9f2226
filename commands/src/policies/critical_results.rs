//! A critical result that nobody was told of in time.

use async_trait::async_trait;
use roentgen_domain::Timestamp;
use roentgen_domain::Versioned;
use roentgen_domain::ids::{CorrelationId, EventId, ReportId, StreamId, TenantId};
use roentgen_domain::report::{self, Command, Report};
use roentgen_store::codec::Unreadable;
use roentgen_store::memory::Memory;
use serde::{Deserialize, Serialize};

use super::{Cause, Due, Effect, Policy, Recall};
use crate::error::{CommandError, Refusal};
use crate::executor::{Executor, Request, UseCase};
use crate::work::Work;

/// Deadlines, by report and position.
const DEADLINES: &str = "critical_results";

/// `RadiologyReport.CriticalResult`: once its deadline has passed, it is overdue, if nobody was told.
#[derive(Debug)]
pub(super) struct CriticalResults;

/// A critical result, as it is remembered.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Raised {
    report_id: ReportId,
    deadline: Timestamp,
    event_id: EventId,
    correlation_id: CorrelationId,
}

#[async_trait]
impl Policy for CriticalResults {
    fn name(&self) -> &'static str {
        "critical_results"
    }

    fn listens_to(&self) -> &'static [&'static str] {
        &["RadiologyReport.CriticalResult"]
    }

    fn react(&self, cause: &Cause<'_>, recall: &mut Recall) -> Result<Vec<Effect>, Unreadable> {
        if let Some(report::Event::CriticalResult(it)) = cause.fact::<Report>()? {
            let raised = Raised {
                report_id: it.report_id,
                deadline: it.deadline,
                event_id: cause.event.event_id,
                correlation_id: cause.correlation_id(),
            };
            let name = format!("{}:{}", it.report_id, cause.event.position);
            recall.remind(&cause.memory(DEADLINES, name), raised, it.deadline);
        }
        Ok(Vec::new())
    }

    fn timers(&self) -> Option<&'static str> {
        Some(DEADLINES)
    }

    async fn fall_due(&self, timer: &Memory, executor: &Executor) -> Result<Due, CommandError> {
        let Ok(raised) = serde_json::from_str::<Raised>(&timer.value) else {
            return Ok(Due::Done);
        };
        let (correlation, cause) = (raised.correlation_id, raised.event_id);
        let request = Request::of_system(timer.tenant_id, correlation, cause, None);
        let mark = MarkOverdue(raised.report_id);
        match executor.execute(&request, &mark).await {
            // It was raised again in the meantime, and that has a timer of its own.
            Ok(_) | Err(CommandError::Refused(Refusal::Report(report::Error::NotDue))) => {
                Ok(Due::Done)
            }
            Err(error) => Err(error),
        }
    }
}

/// Marks a report's critical result as overdue, where it is.
#[derive(Debug, Clone, Copy)]
struct MarkOverdue(ReportId);

impl UseCase for MarkOverdue {
    type Aggregate = Report;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.0.into())
    }

    async fn decide(&self, work: &mut Work<'_>) -> Result<Versioned<Report>, CommandError> {
        let before = work.read::<Report>(self.0).await?;
        let after = work.decide::<Report>(self.0, Command::MarkOverdue).await?;
        if before.is_some_and(|it| it.version < after.version) {
            metrics::counter!("roentgen_critical_results_overdue_total").increment(1);
        }
        Ok(after)
    }
}
