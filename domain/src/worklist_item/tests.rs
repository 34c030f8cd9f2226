use super::*;
use crate::given_when_then::{Given, context, given, minutes_from_now};
use crate::ids::AiModelId;
use crate::phi::PhiText;
use serde_json::Value;
use uuid::Uuid;

mod room;
mod system_commands;
mod transitions;
mod triage;

fn study() -> StudyId {
    Uuid::from_u128(5).into()
}

fn anna() -> PractitionerId {
    Uuid::from_u128(21).into()
}

fn boris() -> PractitionerId {
    Uuid::from_u128(22).into()
}

fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

fn patient() -> Patient {
    Patient {
        mrn: Some(PhiText::new(text("MRN-1"))),
        family_name: None,
        given_name: None,
        birth_date: None,
        sex: None,
    }
}

fn new_item() -> NewItem {
    NewItem {
        patient_id: Uuid::from_u128(7).into(),
        case: CaseDetails {
            imaging_study_id: study(),
            imaging_order_id: None,
            modality_code: ModalityCode::parse("CT").unwrap(),
            body_part: BodyPart::parse("HEAD").ok(),
            accession_number: None,
            description: None,
        },
        priority: Priority::Urgent,
        attention: Vec::new(),
        patient: Some(patient()),
    }
}

fn created() -> Event {
    let new = new_item();
    Event::Created(Box::new(Created {
        worklist_item_id: WorklistItemId::derive(study()),
        patient_id: new.patient_id,
        case: new.case,
        priority: new.priority,
        status: Status::Pending,
        last_activity_at: context().now,
        attention: Vec::new(),
        phi: Some(CreatedPhi { patient: patient() }),
    }))
}

fn claimed_at(radiologist_id: PractitionerId, claimed_at: Timestamp) -> Event {
    Event::Claimed(Claimed {
        worklist_item_id: WorklistItemId::derive(study()),
        imaging_study_id: study(),
        radiologist_id,
        claimed_at,
        assigned_by: None,
    })
}

fn claimed(radiologist_id: PractitionerId) -> Event {
    claimed_at(radiologist_id, context().now)
}

fn released(radiologist_id: PractitionerId, reason: ReleaseReason) -> Event {
    Event::Released(Released {
        worklist_item_id: WorklistItemId::derive(study()),
        imaging_study_id: study(),
        radiologist_id,
        reason,
    })
}

fn updated(set: impl FnOnce(&mut Updated)) -> Event {
    let mut change = Updated {
        worklist_item_id: WorklistItemId::derive(study()),
        imaging_study_id: study(),
        status: None,
        priority: None,
        ai_contribution: None,
        attention: None,
        imaging_order_id: Change::Keep,
        last_activity_at: None,
    };
    set(&mut change);
    Event::Updated(Box::new(change))
}

fn moved(status: Status) -> Event {
    updated(|updated| updated.status = Some(status))
}

/// Returns the events that lead to a status. The holder is Anna.
fn history(status: Status) -> Vec<Event> {
    match status {
        Status::Pending => vec![created()],
        Status::Claimed => vec![created(), claimed(anna())],
        Status::InProgress => vec![created(), claimed(anna()), moved(status)],
        Status::Completed => vec![created(), claimed(anna()), moved(status)],
        Status::Cancelled => vec![created(), moved(status)],
    }
}

fn an_item(status: Status) -> Given<WorklistItem> {
    given(history(status))
}

fn claim(radiologist_id: PractitionerId) -> Command {
    Command::Claim(Claim {
        radiologist_id,
        assigned_by: None,
    })
}

fn nothing_yet(authority: Authority) -> Update {
    Update {
        status: None,
        authority,
        priority: None,
        assign: Change::Keep,
        ai_triage_score: Change::Keep,
        ai_triage_flags: Change::Keep,
    }
}

fn step(status: RequestedStatus, authority: Authority) -> Command {
    Command::Update(Box::new(Update {
        status: Some(status),
        ..nothing_yet(authority)
    }))
}

/// Decides a command issued by Anna instead of the system.
fn by_anna(state: Given<WorklistItem>, command: Command) -> Result<Vec<Event>, Error> {
    let mut context = context();
    context.actor.practitioner_id = Some(anna());
    WorklistItem::decide(Some(&state.state()), command, &context)
}
