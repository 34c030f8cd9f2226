//! `StudyAccess`: audit trail of viewer access to a study's images. A separate stream per study, because an access does
//! not change the study.
//!
//! ```text
//! --Launch--> token issued --RecordFirstUse--> used (later uses write no event)
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::growth::StreamBudget;
use crate::ids::{PatientId, StudyId, ViewerTokenId};
use crate::json::Members;
use crate::phi::Phi;
use crate::{domain_events, event_data_without_phi};

/// Viewer access to a study so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyAccess {
    /// Study.
    pub study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Tokens that were issued and have not been used.
    pub unused: BTreeSet<ViewerTokenId>,
}

/// Permission to view a study, with its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewerGrant {
    /// Study.
    pub study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Viewer token.
    pub token_id: ViewerTokenId,
}

/// Commands of the access stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Issues a token.
    Launch(ViewerGrant),
    /// Records the first use of a token for the study.
    RecordFirstUse(ViewerTokenId),
}

domain_events! {
    /// Events of the access stream.
    pub enum Event {
        /// Viewer launched, or token used for the first time.
        Accessed(Accessed) = "ImagingStudy.Accessed" v 1,
    }
}

/// `ImagingStudy.Accessed`. The user is the actor of the event envelope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accessed {
    /// Study.
    pub study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Kind of access.
    pub kind: AccessKind,
    /// Viewer token.
    pub token_id: ViewerTokenId,
}

/// Kind of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessKind {
    /// Viewer launched: a token was issued.
    Launched,
    /// Token used for the first time.
    FirstUsed,
}

event_data_without_phi!(Accessed);

/// Domain errors of the access stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The token was not issued for this study.
    #[error("token was not issued for this study")]
    UnknownToken,
}

impl Aggregate for StudyAccess {
    const STREAM_TYPE: &'static str = "StudyAccess";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        _context: &Context,
    ) -> Result<Vec<Event>, Error> {
        match (state, command) {
            (_, Command::Launch(look)) => Ok(vec![accessed(look, AccessKind::Launched)]),
            (Some(access), Command::RecordFirstUse(token)) => Ok(access.first_use(token)),
            (None, Command::RecordFirstUse(_)) => Err(Error::UnknownToken),
        }
    }

    fn evolve(state: Option<Self>, event: Event) -> Result<Self, UnexpectedEvent> {
        let Event::Accessed(accessed) = event;
        let mut access = state.unwrap_or_else(|| Self {
            study_id: accessed.study_id,
            patient_id: accessed.patient_id,
            unused: BTreeSet::new(),
        });
        match accessed.kind {
            AccessKind::Launched => access.unused.insert(accessed.token_id),
            AccessKind::FirstUsed => access.unused.remove(&accessed.token_id),
        };
        Ok(access)
    }

    fn phi(&self) -> Option<Phi<Members>> {
        None
    }

    fn patient_id(&self) -> Option<PatientId> {
        Some(self.patient_id)
    }

    /// Returns an unbounded budget: no resource is read from this stream, and a rejection would hide images.
    fn room(_state: Option<&Self>, _command: &Command) -> StreamBudget {
        StreamBudget::Unbounded
    }
}

impl StudyAccess {
    fn first_use(&self, token_id: ViewerTokenId) -> Vec<Event> {
        if !self.unused.contains(&token_id) {
            return Vec::new();
        }
        let look = ViewerGrant {
            study_id: self.study_id,
            patient_id: self.patient_id,
            token_id,
        };
        vec![accessed(look, AccessKind::FirstUsed)]
    }
}

fn accessed(look: ViewerGrant, kind: AccessKind) -> Event {
    Event::Accessed(Accessed {
        study_id: look.study_id,
        patient_id: look.patient_id,
        kind,
        token_id: look.token_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::given;
    use uuid::Uuid;

    fn look(token: u128) -> ViewerGrant {
        ViewerGrant {
            study_id: Uuid::from_u128(1).into(),
            patient_id: Uuid::from_u128(2).into(),
            token_id: Uuid::from_u128(token).into(),
        }
    }

    fn launched(token: u128) -> Event {
        accessed(look(token), AccessKind::Launched)
    }

    fn first_used(token: u128) -> Event {
        accessed(look(token), AccessKind::FirstUsed)
    }

    #[test]
    fn every_launch_is_noted() {
        given::<StudyAccess>([])
            .when(Command::Launch(look(7)))
            .then([launched(7)]);
        given::<StudyAccess>([launched(7)])
            .when(Command::Launch(look(8)))
            .then([launched(8)]);
    }

    #[test]
    fn the_first_use_is_noted_and_later_ones_are_not() {
        given::<StudyAccess>([launched(7), launched(8)])
            .when(Command::RecordFirstUse(look(7).token_id))
            .then([first_used(7)]);
        given::<StudyAccess>([launched(7), launched(8), first_used(7)])
            .when(Command::RecordFirstUse(look(7).token_id))
            .then([]);
        given::<StudyAccess>([launched(7), launched(8), first_used(7)])
            .when(Command::RecordFirstUse(look(8).token_id))
            .then([first_used(8)]);
    }

    #[test]
    fn a_token_of_a_study_that_nobody_launched_is_refused() {
        given::<StudyAccess>([])
            .when(Command::RecordFirstUse(look(7).token_id))
            .refused(Error::UnknownToken);
    }
}
