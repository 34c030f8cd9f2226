//! What becomes of a report.

use super::critical_result::{Communication, RaisedCriticalResult};
use super::events::{
    AddendumAdded, AiSuggestionReviewed, Cancelled, Created, CriticalResult,
    CriticalResultCommunicated, Event, Signed, Updated,
};
use super::phi::ReportPhi;
use super::state::{
    Activity, Addendum, Lifecycle, Report, Review, SignatureRecord, SignedVersion, Status,
};
use crate::aggregate::{DomainEvent, EncodeError, UnexpectedEvent};

pub(super) fn evolve(state: Option<Report>, event: Event) -> Result<Report, UnexpectedEvent> {
    let misplaced = UnexpectedEvent {
        event: event.event_type(),
    };
    let phi = event
        .phi()
        .map_err(|EncodeError { event_type: event }| UnexpectedEvent { event })?;
    let mut report = match (state, event) {
        (None, Event::Created(it)) => created(*it, 1, None),
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

/// The state after an event that is not the first; `None` where none of its kind can stand.
fn evolve_existing(mut report: Report, event: Event) -> Option<Report> {
    report.facts += 1;
    match event {
        Event::Created(it) => return restart_cancelled(report, *it),
        Event::Updated(it) => updated(&mut report, &it),
        Event::Signed(it) => signed(&mut report, it)?,
        Event::AddendumAdded(it) => added(&mut report, *it)?,
        Event::CriticalResult(it) => raised(&mut report, &it),
        Event::CriticalResultCommunicated(it) => communicated(&mut report, &it),
        Event::CriticalResultOverdue(_) => {
            if let Some(critical) = report.critical.as_mut() {
                critical.overdue = true;
            }
        }
        Event::AiSuggestionReviewed(it) => reviewed(&mut report, &it),
        Event::Cancelled(it) => cancelled(&mut report, &it)?,
    }
    Some(report)
}

/// A cancelled report begins anew; its earlier words are kept, and stand before the new beginning.
fn restart_cancelled(report: Report, it: Created) -> Option<Report> {
    match report.status() {
        Status::Cancelled => Some(created(it, report.facts, report.phi)),
        Status::Draft | Status::Preliminary | Status::Final | Status::Corrected => None,
    }
}

fn created(it: Created, version: u64, earlier: Option<ReportPhi>) -> Report {
    let readable = it.phi.is_some();
    Report {
        imaging_study_id: it.imaging_study_id,
        imaging_order_id: it.imaging_order_id,
        patient_id: it.patient_id,
        radiologist_id: it.radiologist_id,
        template_id: it.template_id,
        progress: Lifecycle::Draft,
        critical_result: it.critical_result,
        critical_since: it.critical_result.then_some(version),
        critical: None,
        unsigned_changes: false,
        communications: Vec::new(),
        ai_suggestions: Vec::new(),
        last_activity: Activity {
            radiologist: it.radiologist_id,
            at: it.drafted_at,
        },
        begun: version,
        facts: version,
        phi: readable.then(|| earlier.unwrap_or_default()),
    }
}

fn updated(report: &mut Report, it: &Updated) {
    report.radiologist_id = it.radiologist_id.unwrap_or(report.radiologist_id);
    report.unsigned_changes = it.unsigned_changes;
    report.last_activity = Activity {
        radiologist: it.edited_by_radiologist_id,
        at: it.edited_at,
    };
    if let Some(critical) = it.critical_result {
        report.set_critical(critical);
    }
}

fn signed(report: &mut Report, it: Signed) -> Option<()> {
    let release = SignedVersion {
        version: report.facts,
        facts: SignatureRecord {
            status: it.status,
            signed_by_radiologist_id: it.signed_by_radiologist_id,
            signed_at: it.signed_at,
            critical_result: it.critical_result,
        },
        sha256: it.sha256,
    };
    report.last_activity = Activity {
        radiologist: it.signed_by_radiologist_id,
        at: it.signed_at,
    };
    match report.status() {
        Status::Draft => report.radiologist_id = it.signed_by_radiologist_id,
        Status::Preliminary => {}
        Status::Final | Status::Corrected | Status::Cancelled => return None,
    }
    report.progress = match it.status {
        Status::Preliminary => Lifecycle::Preliminary { release },
        Status::Final => Lifecycle::Final { release },
        Status::Draft | Status::Corrected | Status::Cancelled => return None,
    };
    report.unsigned_changes = false;
    report.set_signed_critical(it.critical_result);
    Some(())
}

fn added(report: &mut Report, it: AddendumAdded) -> Option<()> {
    report.last_activity = Activity {
        radiologist: it.facts.added_by_radiologist_id,
        at: it.facts.added_at,
    };
    let critical = it.facts.critical_result;
    let addendum = Addendum {
        version: report.facts,
        facts: it.facts,
        sha256: it.sha256,
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

fn raised(report: &mut Report, it: &CriticalResult) {
    if report.critical.is_some() {
        report.critical_since = Some(report.facts);
    }
    report.critical = Some(RaisedCriticalResult {
        raised_at: it.raised_at,
        deadline: it.deadline,
        overdue: false,
        ordering_practitioner_id: it.ordering_practitioner_id,
    });
}

fn communicated(report: &mut Report, it: &CriticalResultCommunicated) {
    report.last_activity = Activity {
        radiologist: it.facts.communicated_by_radiologist_id,
        at: it.facts.noted_at,
    };
    report.communications.push(Communication {
        version: report.facts,
        facts: it.facts,
    });
}

fn reviewed(report: &mut Report, it: &AiSuggestionReviewed) {
    report.last_activity = Activity {
        radiologist: it.reviewed_by_radiologist_id,
        at: it.reviewed_at,
    };
    let review = Review {
        version: report.facts,
        output_id: it.output_id,
        decision: it.decision,
        reviewed_by_radiologist_id: it.reviewed_by_radiologist_id,
        reviewed_at: it.reviewed_at,
    };
    report
        .ai_suggestions
        .retain(|ai_suggestion| ai_suggestion.output_id != review.output_id);
    report.ai_suggestions.push(review);
}

fn cancelled(report: &mut Report, it: &Cancelled) -> Option<()> {
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
        radiologist: it.cancelled_by_radiologist_id,
        at: it.cancelled_at,
    };
    Some(())
}
