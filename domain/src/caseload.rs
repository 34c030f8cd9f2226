//! `RadiologistCaseload`: the cases assigned to a radiologist. Claiming or releasing a worklist item also appends to
//! the radiologist's caseload, so the case limit is a version check on one stream and holds on any number of nodes.
//!
//! ```text
//! (none) --Take--> {item} <--Take/Free--> {items...}
//! ```
//!
//! Each event contains all open cases: the last event is the state.

use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::growth::StreamBudget;
use crate::ids::{PatientId, PractitionerId, WorklistItemId};
use crate::json::Members;
use crate::phi::Phi;
use crate::reading_profile::CaseLimit;
use crate::{domain_events, event_data_without_phi};

/// Current open cases of a radiologist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caseload {
    /// The radiologist.
    pub radiologist_id: PractitionerId,
    /// Assigned worklist items, in the order of their claims.
    pub open_cases: Vec<WorklistItemId>,
}

/// Commands of a caseload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Adds an item if the case limit allows it.
    Take {
        /// The radiologist who claims the item.
        radiologist_id: PractitionerId,
        /// The worklist item.
        item: WorklistItemId,
        /// Maximum number of open cases.
        limit: CaseLimit,
    },
    /// Removes an item.
    Free {
        /// The worklist item.
        item: WorklistItemId,
    },
}

domain_events! {
    /// Events of a caseload.
    pub enum Event {
        /// A case was added.
        CaseTaken(CaseTaken) = "RadiologistCaseload.CaseTaken" v 1,
        /// A case was removed.
        CaseFreed(CaseFreed) = "RadiologistCaseload.CaseFreed" v 1,
    }
}

/// `RadiologistCaseload.CaseTaken`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseTaken {
    /// The radiologist who claimed the item.
    pub radiologist_id: PractitionerId,
    /// The worklist item.
    pub worklist_item_id: WorklistItemId,
    /// All open cases after the event.
    pub open_cases: Vec<WorklistItemId>,
}

/// `RadiologistCaseload.CaseFreed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseFreed {
    /// The radiologist to whom the item was assigned.
    pub radiologist_id: PractitionerId,
    /// The worklist item.
    pub worklist_item_id: WorklistItemId,
    /// All open cases after the event.
    pub open_cases: Vec<WorklistItemId>,
}

event_data_without_phi!(CaseTaken, CaseFreed);

/// Reasons why a command of a caseload is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The case limit is reached.
    #[error("radiologist already holds {open} of {limit} cases")]
    LimitReached {
        /// Number of open cases.
        open: usize,
        /// Maximum number of open cases.
        limit: usize,
    },
}

impl Aggregate for Caseload {
    const STREAM_TYPE: &'static str = "RadiologistCaseload";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        _context: &Context,
    ) -> Result<Vec<Event>, Error> {
        match command {
            Command::Take {
                radiologist_id,
                item,
                limit,
            } => take(state, radiologist_id, item, limit),
            Command::Free { item } => Ok(state
                .and_then(|caseload| free(caseload, item))
                .into_iter()
                .collect()),
        }
    }

    fn evolve(state: Option<Self>, event: Event) -> Result<Self, UnexpectedEvent> {
        match (state, event) {
            (_, Event::CaseTaken(taken)) => Ok(Self {
                radiologist_id: taken.radiologist_id,
                open_cases: taken.open_cases,
            }),
            (Some(_), Event::CaseFreed(freed)) => Ok(Self {
                radiologist_id: freed.radiologist_id,
                open_cases: freed.open_cases,
            }),
            (None, Event::CaseFreed(_)) => Err(UnexpectedEvent {
                event: "RadiologistCaseload.CaseFreed",
            }),
        }
    }

    fn phi(&self) -> Option<Phi<Members>> {
        None
    }

    fn patient_id(&self) -> Option<PatientId> {
        None
    }

    /// Unbounded: no resource is read from this stream, and a rejection would block a case.
    fn room(_state: Option<&Self>, _command: &Command) -> StreamBudget {
        StreamBudget::Unbounded
    }
}

fn take(
    state: Option<&Caseload>,
    radiologist_id: PractitionerId,
    item: WorklistItemId,
    limit: CaseLimit,
) -> Result<Vec<Event>, Error> {
    let mut open_cases = state
        .map(|caseload| caseload.open_cases.clone())
        .unwrap_or_default();
    if open_cases.contains(&item) {
        return Ok(Vec::new());
    }
    let open = open_cases.len();
    let limit = limit.cases();
    if open >= limit {
        return Err(Error::LimitReached { open, limit });
    }
    open_cases.push(item);
    Ok(vec![Event::CaseTaken(CaseTaken {
        radiologist_id,
        worklist_item_id: item,
        open_cases,
    })])
}

fn free(caseload: &Caseload, item: WorklistItemId) -> Option<Event> {
    let mut open_cases = caseload.open_cases.clone();
    open_cases.retain(|id| *id != item);
    if open_cases.len() == caseload.open_cases.len() {
        return None;
    }
    Some(Event::CaseFreed(CaseFreed {
        radiologist_id: caseload.radiologist_id,
        worklist_item_id: item,
        open_cases,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::given;
    use uuid::Uuid;

    fn radiologist() -> PractitionerId {
        Uuid::from_u128(21).into()
    }

    fn items(numbers: &[u128]) -> Vec<WorklistItemId> {
        numbers
            .iter()
            .map(|number| Uuid::from_u128(*number).into())
            .collect()
    }

    fn take(item: u128, limit: i64) -> Command {
        Command::Take {
            radiologist_id: radiologist(),
            item: Uuid::from_u128(item).into(),
            limit: CaseLimit::parse(limit).unwrap(),
        }
    }

    fn free(item: u128) -> Command {
        let item = Uuid::from_u128(item).into();
        Command::Free { item }
    }

    fn taken(item: u128, open: &[u128]) -> Event {
        Event::CaseTaken(CaseTaken {
            radiologist_id: radiologist(),
            worklist_item_id: Uuid::from_u128(item).into(),
            open_cases: items(open),
        })
    }

    fn freed(item: u128, open: &[u128]) -> Event {
        Event::CaseFreed(CaseFreed {
            radiologist_id: radiologist(),
            worklist_item_id: Uuid::from_u128(item).into(),
            open_cases: items(open),
        })
    }

    #[test]
    fn takes_cases_up_to_the_limit() {
        given::<Caseload>([])
            .when(take(1, 2))
            .then([taken(1, &[1])]);
        given::<Caseload>([taken(1, &[1])])
            .when(take(2, 2))
            .then([taken(2, &[1, 2])]);
        given::<Caseload>([taken(1, &[1]), taken(2, &[1, 2])])
            .when(take(3, 2))
            .refused(Error::LimitReached { open: 2, limit: 2 });
    }

    #[test]
    fn takes_a_case_once_also_at_the_limit() {
        given::<Caseload>([taken(1, &[1])])
            .when(take(1, 1))
            .then([]);
    }

    #[test]
    fn frees_what_it_holds_and_nothing_else() {
        given::<Caseload>([]).when(free(1)).then([]);
        given::<Caseload>([taken(1, &[1])]).when(free(2)).then([]);
        given::<Caseload>([taken(1, &[1]), taken(2, &[1, 2])])
            .when(free(1))
            .then([freed(1, &[2])]);
        given::<Caseload>([taken(1, &[1]), freed(1, &[])])
            .when(free(1))
            .then([]);
    }

    #[test]
    fn a_limit_that_was_lowered_refuses_until_enough_are_freed() {
        given::<Caseload>([taken(1, &[1]), taken(2, &[1, 2])])
            .when(take(3, 1))
            .refused(Error::LimitReached { open: 2, limit: 1 });
    }

    #[test]
    fn its_last_event_is_its_state() {
        let whole = given::<Caseload>([taken(1, &[1]), taken(2, &[1, 2]), freed(1, &[2])]).state();
        let last = given::<Caseload>([taken(2, &[2])]).state();
        assert_eq!(whole, last);
    }
}
