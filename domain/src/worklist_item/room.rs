//! Stream budgets of worklist item commands.
//!
//! Commands that advance a case are unbounded: a claim, a start and a completion each require a step back before the
//! next one of their kind. Steps back are bounded. Steps back by others than the holder use the reserve, so that a user
//! who claims and releases for ever cannot block the case. Consequences of a report, study or order are unbounded here,
//! because the streams of those are bounded.

use super::{Authority, Command, RequestedStatus, Status, Update, WorklistItem};
use crate::change::Change;
use crate::growth::StreamBudget;

pub(super) fn of(item: Option<&WorklistItem>, command: &Command) -> StreamBudget {
    match command {
        Command::Update(update) => of_update(item, update),
        Command::Release(Authority::Own(_)) => StreamBudget::Bounded,
        Command::Release(Authority::Any) | Command::Create(_) => StreamBudget::Reserved,
        // There are few models. A model's first contribution may be the reason why the case is read in time.
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

/// Returns whether the update advances the item to a state that it does not have yet.
fn leads_on(status: Status, update: &Update) -> bool {
    let claims = status == Status::Pending && matches!(update.assign, Change::Set(_));
    let steps = match update.status {
        Some(RequestedStatus::InProgress) => status == Status::Claimed,
        Some(RequestedStatus::Completed | RequestedStatus::Cancelled) => status.is_open(),
        Some(RequestedStatus::Pending) | None => false,
    };
    claims || steps
}

/// Returns whether the update releases the item, on the authority of an administrator or coordinator.
fn releases(update: &Update) -> bool {
    update.status == Some(RequestedStatus::Pending) || update.assign == Change::Clear
}
