//! Decisions of a report.

use super::content::{Content, ContentChanges, ContentEdit, Section};
use super::critical_result::{communicated, raise};
use super::events::{
    AddendumAdded, AddendumPhi, AiSuggestionReviewed, Cancelled, CancelledPhi, Created, Event,
    ReviewPhi, Signed, Updated,
};
use super::state::{AddendumRecord, Report, SignatureRecord, Status};
use super::{Cancel, Edit, Error, NewAddendum, NewReport, NewReview, Operation, Sign, signature};
use crate::aggregate::Context;
use crate::change::Change;
use crate::ids::ReportId;
use crate::phi;

pub(super) fn create(
    report: Option<&Report>,
    new: NewReport,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    if report.is_some_and(|report| report.status() != Status::Cancelled) {
        return Err(Error::AlreadyExists);
    }
    Ok(vec![Event::Created(Box::new(Created {
        report_id: ReportId::derive(new.imaging_study_id),
        imaging_study_id: new.imaging_study_id,
        imaging_order_id: new.imaging_order_id,
        patient_id: new.patient_id,
        radiologist_id: new.radiologist_id,
        template_id: new.template_id,
        status: Status::Draft,
        critical_result: false,
        drafted_at: context.now,
        phi: Some(new.written),
    }))])
}

pub(super) fn edit(report: &Report, edit: Edit, context: &Context) -> Result<Vec<Event>, Error> {
    let is_draft = match report.status() {
        Status::Draft => true,
        Status::Preliminary => false,
        status @ (Status::Final | Status::Corrected | Status::Cancelled) => {
            return Err(Error::Refused {
                status,
                operation: Operation::Edit,
            });
        }
    };
    let before = report.authored_content().ok_or(Error::Erased)?;
    let asked = laid_over(&before.content, edit.written.content)?;
    let asked = apply_section_edits(&before.content, asked, edit.sections)?;
    let changes = ContentEdit {
        content: before.content.diff(asked),
        ai_assist_summary: edit
            .written
            .ai_assist_summary
            .unless_already(before.ai_assist_summary.as_ref()),
    };
    let radiologist_id =
        Some(edit.radiologist_id).filter(|id| is_draft && *id != report.radiologist_id);
    let critical_result = edit
        .critical_result
        .filter(|critical_result| *critical_result != report.critical_result);
    if changes == ContentEdit::default() && radiologist_id.is_none() && critical_result.is_none() {
        return Ok(Vec::new());
    }
    let critical = critical_result.unwrap_or(report.critical_result);
    let content = before.content.merged_with(&changes.content);
    let phi = Some(changes).filter(|rewritten| *rewritten != ContentEdit::default());
    Ok(vec![Event::Updated(Box::new(Updated {
        report_id: report.id(),
        imaging_study_id: report.imaging_study_id,
        patient_id: report.patient_id,
        radiologist_id,
        critical_result,
        edited_by_radiologist_id: edit.radiologist_id,
        edited_at: context.now,
        unsigned_changes: differs_from_signed(report, &content, critical),
        phi,
    }))])
}

/// Returns whether there is signed content that differs from this content.
fn differs_from_signed(report: &Report, content: &Content, critical: bool) -> bool {
    report.signed_version().is_some_and(|release| {
        release.facts.critical_result != critical
            || report.released_content().as_ref() != Some(content)
    })
}

/// Returns the requested changes, with the merge patch of structured data replaced by the merged value.
fn laid_over(before: &Content, asked: ContentChanges) -> Result<ContentChanges, Error> {
    let patched = phi::patched(before.structured_data.as_ref(), asked.structured_data);
    Ok(ContentChanges {
        structured_data: patched.map_err(Error::StructuredData)?,
        ..asked
    })
}

/// Merges individually changed sections into the standard members or the template sections. A section without text is
/// emptied.
fn apply_section_edits(
    before: &Content,
    mut asked: ContentChanges,
    sections: Vec<Section>,
) -> Result<ContentChanges, Error> {
    let mut own = before.sections.clone().unwrap_or_default();
    let mut touches_own = false;
    for Section { code, text } in sections {
        if let Some(member) = asked.member(&code) {
            *member = text.map_or(Change::Clear, Change::Set);
            continue;
        }
        let section = own.iter_mut().find(|section| section.code == code);
        let section = section.ok_or(Error::NoSuchSection)?;
        section.text = text;
        touches_own = true;
    }
    asked.sections = touches_own.then_some(own);
    Ok(asked)
}

pub(super) fn sign(report: &Report, sign: Sign, context: &Context) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    if !is_repeated_signature(report, &sign)? {
        let content = report.authored_content().ok_or(Error::Erased)?.content;
        if sign.is_final && content.impression.is_none() {
            return Err(Error::ImpressionMissing);
        }
        events.push(signed(report, &sign, &content, context));
        if report.critical_result && report.critical.is_none() {
            events.push(raise(report, sign.notice, content.impression, context.now));
        }
    }
    match sign.communication {
        Some(new) if !report.has_communication(&new) => {
            events.push(communicated(report, new, context)?)
        }
        Some(_) | None => {}
    }
    Ok(events)
}

/// Returns whether the signature repeats the current signature of the same radiologist.
fn is_repeated_signature(report: &Report, sign: &Sign) -> Result<bool, Error> {
    let by_same = |version: &super::SignedVersion| {
        version.facts.signed_by_radiologist_id == sign.radiologist_id
    };
    match (report.status(), sign.is_final) {
        (Status::Draft, _) | (Status::Preliminary, true) => Ok(false),
        (Status::Preliminary, false) => {
            Ok(!report.unsigned_changes && report.signed_version().is_some_and(by_same))
        }
        (Status::Final, true) if report.signed_version().is_some_and(by_same) => Ok(true),
        (status @ (Status::Final | Status::Corrected | Status::Cancelled), _) => {
            Err(Error::Refused {
                status,
                operation: Operation::Sign,
            })
        }
    }
}

fn signed(report: &Report, sign: &Sign, content: &Content, context: &Context) -> Event {
    let facts = SignatureRecord {
        status: if sign.is_final {
            Status::Final
        } else {
            Status::Preliminary
        },
        signed_by_radiologist_id: sign.radiologist_id,
        signed_at: context.now,
        critical_result: report.critical_result,
    };
    Event::Signed(Signed {
        report_id: report.id(),
        imaging_study_id: report.imaging_study_id,
        patient_id: report.patient_id,
        status: facts.status,
        signed_by_radiologist_id: facts.signed_by_radiologist_id,
        signed_at: facts.signed_at,
        sha256: signature::content_digest(report, &facts, content),
        critical_result: facts.critical_result,
    })
}

pub(super) fn add_addendum(
    report: &Report,
    new: NewAddendum,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    match report.status() {
        Status::Final | Status::Corrected => {}
        status @ (Status::Draft | Status::Preliminary | Status::Cancelled) => {
            return Err(Error::Refused {
                status,
                operation: Operation::AddAddendum,
            });
        }
    }
    let facts = AddendumRecord {
        addendum_id: context.fresh_id.into(),
        kind: new.kind,
        added_by_radiologist_id: new.radiologist_id,
        added_at: context.now,
        critical_result: new.critical_result,
    };
    let mut events = vec![Event::AddendumAdded(Box::new(AddendumAdded {
        report_id: report.id(),
        imaging_study_id: report.imaging_study_id,
        patient_id: report.patient_id,
        sha256: signature::addendum_digest(report.id(), &facts, &new.content),
        facts,
        phi: Some(AddendumPhi {
            content: new.content,
        }),
    }))];
    if new.critical_result == Some(true) && report.open_critical().is_none() {
        let impression = report
            .released_content()
            .and_then(|content| content.impression);
        events.push(raise(report, new.notice, impression, context.now));
    }
    Ok(events)
}

pub(super) fn review_suggestion(
    report: &Report,
    new: NewReview,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    if report.status() == Status::Cancelled {
        return Err(Error::Refused {
            status: Status::Cancelled,
            operation: Operation::ReviewSuggestion,
        });
    }
    let phi = report.phi.as_ref();
    let known = report.ai_suggestions.iter().any(|review| {
        review.output_id == new.output_id
            && review.decision == new.decision
            && review.reviewed_by_radiologist_id == new.radiologist_id
            && phi.and_then(|phi| phi.note(review.version)) == new.note
    });
    if known {
        return Ok(Vec::new());
    }
    Ok(vec![Event::AiSuggestionReviewed(AiSuggestionReviewed {
        report_id: report.id(),
        imaging_study_id: report.imaging_study_id,
        patient_id: report.patient_id,
        output_id: new.output_id,
        decision: new.decision,
        reviewed_by_radiologist_id: new.radiologist_id,
        reviewed_at: context.now,
        phi: new.note.map(|note| ReviewPhi { note }),
    })])
}

pub(super) fn cancel(
    report: &Report,
    cancel: Cancel,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    match report.status() {
        Status::Draft | Status::Preliminary => {}
        Status::Cancelled => return Ok(Vec::new()),
        status @ (Status::Final | Status::Corrected) => {
            return Err(Error::Refused {
                status,
                operation: Operation::Cancel,
            });
        }
    }
    Ok(vec![Event::Cancelled(Cancelled {
        report_id: report.id(),
        imaging_study_id: report.imaging_study_id,
        patient_id: report.patient_id,
        cancelled_by_radiologist_id: cancel.radiologist_id,
        cancelled_at: context.now,
        phi: Some(CancelledPhi {
            cancellation_reason: cancel.reason,
        }),
    })])
}
