//! `StudyAccess`: who looked at a study's images, and when. A stream of its own for each study, since a look does not
//! change the study.
//!
//! ```text
//! --Launch--> a token is out --Use--> used          (later uses leave no trace)
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::growth::StreamBudget;
use crate::ids::{PatientId, StudyId, ViewerTokenId};
use crate::json::Members;
use crate::phi::Phi;
use crate::{domain_events, event_data_without_phi};

/// The looks at a study so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyAccess {
    /// Whose images.
    pub study_id: StudyId,
    /// Of whom they are.
    pub patient_id: PatientId,
    /// Tokens that were given out and not used yet.
    pub unused: BTreeSet<ViewerTokenId>,
}

/// The leave to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewerGrant {
    /// Whose images.
    pub study_id: StudyId,
    /// Of whom they are.
    pub patient_id: PatientId,
    /// The token.
    pub token_id: ViewerTokenId,
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Gives a token out.
    Launch(ViewerGrant),
    /// A token was shown for the study's images.
    RecordFirstUse(ViewerTokenId),
}

domain_events! {
    /// What may happen.
    pub enum Event {
        /// Somebody launched the viewer, or used the token for the first time.
        Accessed(Accessed) = "ImagingStudy.Accessed" v 1,
    }
}

/// `ImagingStudy.Accessed`. Who it was is the envelope's actor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accessed {
    /// Whose images.
    pub study_id: StudyId,
    /// Of whom they are.
    pub patient_id: PatientId,
    /// What it was.
    pub kind: AccessKind,
    /// The token.
    pub token_id: ViewerTokenId,
}

/// What kind of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessKind {
    /// The viewer was launched: a token was given out.
    Launched,
    /// The token was used for the first time.
    FirstUsed,
}

event_data_without_phi!(Accessed);

/// Why a look is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The token was never given out for this study.
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

    /// No resource is read from this stream, and a refusal would hide images.
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
