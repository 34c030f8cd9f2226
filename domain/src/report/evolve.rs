//! Application of events to the state of a report.

use super::critical_result::{Communication, RaisedCriticalResult};
use super::events::{
    AddendumAdded, AiSuggestionReviewed, Cancelled, Created, CriticalResult,
    CriticalResultCommunicated, Event, Signed, Updated,
};
use super::phi::ReportPhi;
use super::state::{
    Activity, Addendum, Lifecycle, Report, Review, SignatureRecord, SignedVersion, Status,
};
use crate::aggregate::{DomainEvent, UnexpectedEvent};
use crate::codec_error::EncodeError;

pub(super) fn evolve(state: Option<Report>, event: Event) -> Result<Report, UnexpectedEvent> {
    let misplaced = UnexpectedEvent {
        event: event.event_type(),
    };
    let phi = event
        .phi()
        .map_err(|EncodeError { event_type: event }| UnexpectedEvent { event })?;
    let mut report = match (state, event) {
        (None, Event::Created(data)) => created(*data, 1, None),
        (Some(report), event) => evolve_existing(report, event).ok_or(misplaced)?,
        (
            None,
            Event::Updated(_)
            | Event::Signed(_)
            | Event::AddendumAdded(_)
            | Event::CriticalResult(_)
            | Event::CriticalResultCommunicated(_)
            | Event::CriticalResultOverdue(_)
            | Event::AiSuggestionReviewed(_)
            | Event::Cancelled(_),
        ) => return Err(misplaced),
    };
    if let (Some(phi), Some(kept)) = (phi, report.phi.as_mut()) {
        kept.add(report.facts, phi.expose());
    }
    Ok(report)
}

/// Returns the state after an event that is not the first; `None` if the event is not possible in this state.
fn evolve_existing(mut report: Report, event: Event) -> Option<Report> {
    report.facts += 1;
    match event {
        Event::Created(created) => return restart_cancelled(report, *created),
        Event::Updated(data) => updated(&mut report, &data),
        Event::Signed(data) => signed(&mut report, data)?,
        Event::AddendumAdded(data) => added(&mut report, *data)?,
        Event::CriticalResult(result) => raised(&mut report, &result),
        Event::CriticalResultCommunicated(data) => communicated(&mut report, &data),
        Event::CriticalResultOverdue(_) => {
            if let Some(critical) = report.critical.as_mut() {
                critical.overdue = true;
            }
        }
        Event::AiSuggestionReviewed(data) => reviewed(&mut report, &data),
        Event::Cancelled(data) => cancelled(&mut report, &data)?,
    }
    Some(report)
}

/// Restarts a cancelled report. Its earlier content is retained under versions before the new `Created` event.
fn restart_cancelled(report: Report, data: Created) -> Option<Report> {
    match report.status() {
        Status::Cancelled => Some(created(data, report.facts, report.phi)),
        Status::Draft | Status::Preliminary | Status::Final | Status::Corrected => None,
    }
}

fn created(created: Created, version: u64, earlier: Option<ReportPhi>) -> Report {
    let readable = created.phi.is_some();
    Report {
        imaging_study_id: created.imaging_study_id,
        imaging_order_id: created.imaging_order_id,
        patient_id: created.patient_id,
        radiologist_id: created.radiologist_id,
        template_id: created.template_id,
        progress: Lifecycle::Draft,
        critical_result: created.critical_result,
        critical_since: created.critical_result.then_some(version),
        critical: None,
        unsigned_changes: false,
        communications: Vec::new(),
        ai_suggestions: Vec::new(),
        last_activity: Activity {
            radiologist: created.radiologist_id,
            at: created.drafted_at,
        },
        begun: version,
        facts: version,
        phi: readable.then(|| earlier.unwrap_or_default()),
    }
}

fn updated(report: &mut Report, updated: &Updated) {
    report.radiologist_id = updated.radiologist_id.unwrap_or(report.radiologist_id);
    report.unsigned_changes = updated.unsigned_changes;
    report.last_activity = Activity {
        radiologist: updated.edited_by_radiologist_id,
        at: updated.edited_at,
    };
    if let Some(critical) = updated.critical_result {
        report.set_critical(critical);
    }
}

fn signed(report: &mut Report, signed: Signed) -> Option<()> {
    let release = SignedVersion {
        version: report.facts,
        facts: SignatureRecord {
            status: signed.status,
            signed_by_radiologist_id: signed.signed_by_radiologist_id,
            signed_at: signed.signed_at,
            critical_result: signed.critical_result,
        },
        sha256: signed.sha256,
    };
    report.last_activity = Activity {
        radiologist: signed.signed_by_radiologist_id,
        at: signed.signed_at,
    };
    match report.status() {
        Status::Draft => report.radiologist_id = signed.signed_by_radiologist_id,
        Status::Preliminary => {}
        Status::Final | Status::Corrected | Status::Cancelled => return None,
    }
    report.progress = match signed.status {
        Status::Preliminary => Lifecycle::Preliminary { release },
        Status::Final => Lifecycle::Final { release },
        Status::Draft | Status::Corrected | Status::Cancelled => return None,
    };
    report.unsigned_changes = false;
    report.set_signed_critical(signed.critical_result);
    Some(())
}

fn added(report: &mut Report, added: AddendumAdded) -> Option<()> {
    report.last_activity = Activity {
        radiologist: added.facts.added_by_radiologist_id,
        at: added.facts.added_at,
    };
    let critical = added.facts.critical_result;
    let addendum = Addendum {
        version: report.facts,
        facts: added.facts,
        sha256: added.sha256,
    };
    match &mut report.progress {
        Lifecycle::Corrected { addenda, .. } => addenda.push(addendum),
        Lifecycle::Final { release } => {
            report.progress = Lifecycle::Corrected {
                release: release.clone(),
                addenda: vec![addendum],
            };
        }
        Lifecycle::Draft | Lifecycle::Preliminary { .. } | Lifecycle::Cancelled { .. } => {
            return None;
        }
    }
    if let Some(critical) = critical {
        report.set_signed_critical(critical);
    }
    Some(())
}

fn raised(report: &mut Report, result: &CriticalResult) {
    if report.critical.is_some() {
        report.critical_since = Some(report.facts);
    }
    report.critical = Some(RaisedCriticalResult {
        raised_at: result.raised_at,
        deadline: result.deadline,
        overdue: false,
        ordering_practitioner_id: result.ordering_practitioner_id,
    });
}

fn communicated(report: &mut Report, communicated: &CriticalResultCommunicated) {
    report.last_activity = Activity {
        radiologist: communicated.facts.communicated_by_radiologist_id,
        at: communicated.facts.noted_at,
    };
    report.communications.push(Communication {
        version: report.facts,
        facts: communicated.facts,
    });
}

fn reviewed(report: &mut Report, reviewed: &AiSuggestionReviewed) {
    report.last_activity = Activity {
        radiologist: reviewed.reviewed_by_radiologist_id,
        at: reviewed.reviewed_at,
    };
    let review = Review {
        version: report.facts,
        output_id: reviewed.output_id,
        decision: reviewed.decision,
        reviewed_by_radiologist_id: reviewed.reviewed_by_radiologist_id,
        reviewed_at: reviewed.reviewed_at,
    };
    report
        .ai_suggestions
        .retain(|ai_suggestion| ai_suggestion.output_id != review.output_id);
    report.ai_suggestions.push(review);
}

fn cancelled(report: &mut Report, cancelled: &Cancelled) -> Option<()> {
    let release = match &report.progress {
        Lifecycle::Draft => None,
        Lifecycle::Preliminary { release } => Some(release.clone()),
        Lifecycle::Final { .. } | Lifecycle::Corrected { .. } | Lifecycle::Cancelled { .. } => {
            return None;
        }
    };
    report.progress = Lifecycle::Cancelled {
        release,
        cancelled_in: report.facts,
    };
    report.critical = None;
    report.critical_since = None;
    report.last_activity = Activity {
        radiologist: cancelled.cancelled_by_radiologist_id,
        at: cancelled.cancelled_at,
    };
    Some(())
}
