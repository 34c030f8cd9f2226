mod critical_results;
mod properties;
mod signatures;
mod transitions;

use crate::codes::SectionCode;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::Change;
use crate::aggregate::DomainEvent as _;
use crate::given_when_then::{context, given};
use crate::json::{Json, Members};
use crate::phi::MetadataObject;
use crate::text::Text;

const DEADLINE: Duration = Duration::from_mins(60);

fn words(text: &str) -> PhiText {
    Phi::new(Text::parse(text).unwrap())
}

fn resident() -> PractitionerId {
    Uuid::from_u128(20).into()
}

fn attending() -> PractitionerId {
    Uuid::from_u128(21).into()
}

fn notice() -> CriticalNotice {
    CriticalNotice {
        imaging_order_id: None,
        ordering_practitioner_id: Some(Uuid::from_u128(30).into()),
        critical_deadline: DEADLINE,
    }
}

fn content() -> Content {
    let data = Json::from_serializable(&json!({ "midline_shift_mm": 4.5 })).unwrap();
    Content {
        findings: Some(words("a hyperdense left MCA")),
        impression: Some(words("acute stroke")),
        sections: Some(vec![Section {
            code: SectionCode::parse("ventricles").unwrap(),
            text: None,
        }]),
        structured_data: Some(Phi::new(MetadataObject::parse(&data).unwrap())),
        ..Content::default()
    }
}

fn create() -> Command {
    Command::Create(Box::new(NewReport {
        imaging_study_id: Uuid::from_u128(5).into(),
        imaging_order_id: Some(Uuid::from_u128(6).into()),
        patient_id: Uuid::from_u128(7).into(),
        radiologist_id: resident(),
        template_id: None,
        written: AuthoredContent {
            content: content(),
            ai_assist_summary: Some(words("triage: 0.92")),
        },
    }))
}

fn edit_by(radiologist_id: PractitionerId, change: impl FnOnce(&mut Edit)) -> Command {
    let mut edit = Edit {
        radiologist_id,
        written: ContentEdit::default(),
        sections: Vec::new(),
        critical_result: None,
    };
    change(&mut edit);
    Command::Edit(Box::new(edit))
}

fn edit(change: impl FnOnce(&mut Edit)) -> Command {
    edit_by(resident(), change)
}

fn findings(text: &str) -> Command {
    edit(|edit| edit.written.content.findings = Change::Set(words(text)))
}

fn mark(critical: bool) -> Command {
    edit(|edit| edit.critical_result = Some(critical))
}

fn sign_by(radiologist_id: PractitionerId, is_final: bool) -> Command {
    Command::Sign(Box::new(Sign {
        radiologist_id,
        is_final,
        communication: None,
        notice: notice(),
    }))
}

fn sign(is_final: bool) -> Command {
    sign_by(resident(), is_final)
}

fn addendum(critical_result: Option<bool>) -> Command {
    Command::AddAddendum(Box::new(NewAddendum {
        radiologist_id: resident(),
        kind: AddendumKind::Correction,
        content: words("the right, not the left"),
        critical_result,
        notice: notice(),
    }))
}

fn communication(recipient: &str) -> NewCommunication {
    NewCommunication {
        radiologist_id: resident(),
        recipient: words(recipient),
        method: Method::Phone,
        communicated_at: context().now,
        read_back: true,
        note: None,
    }
}

fn communicate(recipient: &str) -> Command {
    Command::Communicate(Box::new(communication(recipient)))
}

fn review(decision: Decision) -> Command {
    Command::ReviewSuggestion(Box::new(NewReview {
        radiologist_id: resident(),
        output_id: Uuid::from_u128(40).into(),
        decision,
        note: Some(words("seen on two slices")),
    }))
}

fn cancel() -> Command {
    Command::Cancel(Cancel {
        radiologist_id: resident(),
        reason: words("another patient's images"),
    })
}

/// Returns the events of these commands in order; every command must be accepted.
fn after(commands: impl IntoIterator<Item = Command>) -> Vec<Event> {
    let mut events = Vec::new();
    let mut state = None;
    for command in commands {
        for event in Report::decide(state.as_ref(), command, &context()).unwrap() {
            state = Some(Report::evolve(state, event.clone()).unwrap());
            events.push(event);
        }
    }
    events
}

fn a_report(commands: impl IntoIterator<Item = Command>) -> Report {
    given(after(commands)).state()
}

fn names(events: &[Event]) -> Vec<&'static str> {
    let name = |event: &Event| event.event_type().split('.').nth(1).unwrap();
    events.iter().map(name).collect()
}

/// Returns the event names of one more command.
fn leads_to(commands: impl IntoIterator<Item = Command>, last: Command) -> Vec<&'static str> {
    let state = a_report(commands);
    names(&Report::decide(Some(&state), last, &context()).unwrap())
}

fn all_in(status: Status) -> Vec<Command> {
    match status {
        Status::Draft => vec![create()],
        Status::Preliminary => vec![create(), sign(false)],
        Status::Final => vec![create(), sign(true)],
        Status::Corrected => vec![create(), sign(true), addendum(None)],
        Status::Cancelled => vec![create(), cancel()],
    }
}

/// Returns the report as a read model stores it: the document without PHI, and the sealed parts by version.
fn through_a_row(events: &[Event]) -> Report {
    let bare = events.iter().map(|event| {
        let payload = event.payload().unwrap();
        Event::decode(event.event_type(), 1, payload.as_bytes(), None).unwrap()
    });
    let folded = given::<Report>(bare.collect::<Vec<_>>()).state();
    assert_eq!(folded.phi, None);
    let document = serde_json::to_string(&folded).unwrap();
    let mut report: Report = serde_json::from_str(&document).unwrap();
    let parts = (1..).zip(events).filter_map(|(version, event)| {
        let members: Members = serde_json::from_slice(event.phi().unwrap()?.expose()).unwrap();
        Some((version, members))
    });
    report.phi = Some(ReportPhi::from_parts(parts));
    report
}
