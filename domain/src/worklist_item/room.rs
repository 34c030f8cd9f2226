//! The room of a command in an item's stream.
//!
//! What leads a case on has no bound: a claim, a beginning, a completion each need a step back before the next one of
//! their kind. Steps back have the bound, and those that are not the holder's own its reserve, so that nobody who
//! claims and releases for ever keeps others from a case. What follows from a report, a study or an order has no bound
//! here: the streams of these have one.

use super::{Authority, Command, RequestedStatus, Status, Update, WorklistItem};
use crate::change::Change;
use crate::growth::StreamBudget;

pub(super) fn of(item: Option<&WorklistItem>, command: &Command) -> StreamBudget {
    match command {
        Command::Update(update) => of_update(item, update),
        Command::Release(Authority::Own(_)) => StreamBudget::Bounded,
        Command::Release(Authority::Any) | Command::Create(_) => StreamBudget::Reserved,
        // There are not many models. What one says first of a case may be why it is read in time.
        Command::Contribute(part) => {
            let said = item.and_then(|item| item.triage.contribution_of(part.ai_model_id));
            said.map_or(StreamBudget::Unbounded, |_| StreamBudget::Reserved)
        }
        Command::Claim(_)
        | Command::AttachOrder(_)
        | Command::DetachOrder(_)
        | Command::Reopen(_)
        | Command::MarkConflict
        | Command::Begin
        | Command::Complete
        | Command::ReturnToClaimed
        | Command::ReleaseIdle { .. } => StreamBudget::Unbounded,
    }
}

fn of_update(item: Option<&WorklistItem>, update: &Update) -> StreamBudget {
    if item.is_some_and(|item| leads_on(item.status(), update)) {
        StreamBudget::Unbounded
    } else if releases(update) {
        StreamBudget::Reserved
    } else {
        StreamBudget::Bounded
    }
}

/// Whether it is a step on, and not the state that the item has already.
fn leads_on(status: Status, update: &Update) -> bool {
    let claims = status == Status::Pending && matches!(update.assign, Change::Set(_));
    let steps = match update.status {
        Some(RequestedStatus::InProgress) => status == Status::Claimed,
        Some(RequestedStatus::Completed | RequestedStatus::Cancelled) => status.is_open(),
        Some(RequestedStatus::Pending) | None => false,
    };
    claims || steps
}

/// On an administrator's authority, or a coordinator's.
fn releases(update: &Update) -> bool {
    update.status == Some(RequestedStatus::Pending) || update.assign == Change::Clear
}
