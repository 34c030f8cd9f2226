//! `ImagingModality`: a type of scanner in the catalog. The id is derived from the code, so each code is unique.
//!
//! ```text
//! (none) --Create--> active <--Update--> inactive
//! ```

use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::change::Change;
use crate::codes::ModalityCode;
use crate::ids::{ModalityId, PatientId};
use crate::json::Members;
use crate::phi::Phi;
use crate::text::Text;
use crate::{domain_events, event_data_without_phi};

/// Current state of a modality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Modality {
    /// Immutable: the id is derived from the code.
    pub code: ModalityCode,
    /// Display name.
    pub name: Text,
    /// Free-text description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Whether the modality is offered.
    pub is_active: bool,
}

/// Commands of a modality.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Adds the modality to the catalog.
    Create(Modality),
    /// Changes the given members.
    Update(Changes),
}

/// Members to change. An omitted member is unchanged; `null` removes an optional member.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// New name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// New description.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub description: Change<Text>,
    /// Whether the entry is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

domain_events! {
    /// Events of a modality.
    pub enum Event {
        /// The modality was added to the catalog.
        Created(Created) = "ImagingModality.Created" v 1,
        /// Members of the modality changed.
        Updated(Updated) = "ImagingModality.Updated" v 2,
    }
}

/// `ImagingModality.Created`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Modality id.
    pub modality_id: ModalityId,
    /// The complete modality.
    #[serde(flatten)]
    pub modality: Modality,
}

/// `ImagingModality.Updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// Modality id.
    pub modality_id: ModalityId,
    /// Changed members.
    #[serde(flatten)]
    pub changes: Changes,
}

event_data_without_phi!(Created, Updated);

/// Reasons why a command of a modality is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The code already exists.
    #[error("a modality with this code already exists")]
    AlreadyExists,
    /// The modality does not exist.
    #[error("modality not found")]
    NotFound,
}

impl Aggregate for Modality {
    const STREAM_TYPE: &'static str = "ImagingModality";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        match (state, command) {
            (None, Command::Create(modality)) => Ok(vec![create(modality, context)]),
            (Some(_), Command::Create(_)) => Err(Error::AlreadyExists),
            (Some(modality), Command::Update(changes)) => Ok(update(modality, changes, context)),
            (None, Command::Update(_)) => Err(Error::NotFound),
        }
    }

    fn evolve(state: Option<Self>, event: Event) -> Result<Self, UnexpectedEvent> {
        match (state, event) {
            (None, Event::Created(created)) => Ok(created.modality),
            (Some(modality), Event::Updated(updated)) => Ok(modality.apply(updated.changes)),
            (Some(_), Event::Created(_)) => Err(UnexpectedEvent {
                event: "ImagingModality.Created",
            }),
            (None, Event::Updated(_)) => Err(UnexpectedEvent {
                event: "ImagingModality.Updated",
            }),
        }
    }

    fn phi(&self) -> Option<Phi<Members>> {
        None
    }

    fn patient_id(&self) -> Option<PatientId> {
        None
    }
}

fn create(modality: Modality, context: &Context) -> Event {
    let modality_id = ModalityId::derive(context.tenant_id, &modality.code);
    Event::Created(Created {
        modality_id,
        modality,
    })
}

fn update(modality: &Modality, changes: Changes, context: &Context) -> Vec<Event> {
    if modality.clone().apply(changes.clone()) == *modality {
        return Vec::new();
    }
    let modality_id = ModalityId::derive(context.tenant_id, &modality.code);
    vec![Event::Updated(Updated {
        modality_id,
        changes,
    })]
}

impl Modality {
    fn apply(self, changes: Changes) -> Self {
        Self {
            code: self.code,
            name: changes.name.unwrap_or(self.name),
            description: changes.description.apply(self.description),
            is_active: changes.is_active.unwrap_or(self.is_active),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::{context, given};

    fn ct() -> Modality {
        Modality {
            code: ModalityCode::parse("CT").unwrap(),
            name: Text::parse("Computed tomography").unwrap(),
            description: None,
            is_active: true,
        }
    }

    fn created() -> Event {
        create(ct(), &context())
    }

    fn retired() -> Changes {
        Changes {
            is_active: Some(false),
            ..Changes::default()
        }
    }

    #[test]
    fn is_created_once() {
        given::<Modality>([])
            .when(Command::Create(ct()))
            .then([created()]);
        given::<Modality>([created()])
            .when(Command::Create(ct()))
            .refused(Error::AlreadyExists);
    }

    #[test]
    fn is_updated_where_it_exists_and_something_changes() {
        let updated = Event::Updated(Updated {
            modality_id: ModalityId::derive(context().tenant_id, &ct().code),
            changes: retired(),
        });
        given::<Modality>([])
            .when(Command::Update(retired()))
            .refused(Error::NotFound);
        given::<Modality>([created()])
            .when(Command::Update(retired()))
            .then([updated.clone()]);
        given::<Modality>([created(), updated])
            .when(Command::Update(retired()))
            .then([]);
    }
}
