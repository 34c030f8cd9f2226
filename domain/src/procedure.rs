//! `ImagingProcedure`: an examination that can be ordered, with its SNOMED CT and LOINC codes. The id is derived from
//! the code, so each code is unique.
//!
//! ```text
//! (none) --Create--> active <--Update--> inactive
//! ```

use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::body_part::BodyPart;
use crate::change::Change;
use crate::codes::{ModalityCode, ProcedureCode};
use crate::ids::{ModalityId, PatientId, ProcedureId};
use crate::json::Members;
use crate::phi::Phi;
use crate::text::Text;
use crate::{domain_events, event_data_without_phi};

/// Current state of a procedure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Procedure {
    /// Immutable: the id is derived from the code.
    pub code: ProcedureCode,
    /// Display name.
    pub name: Text,
    /// Modality of the procedure.
    pub modality_id: ModalityId,
    /// Code of the modality; immutable.
    pub modality_code: ModalityCode,
    /// Free-text description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// DICOM Body Part Examined (0018,0015), or a local term of the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// SNOMED CT concept id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snomed_code: Option<Text>,
    /// LOINC or LOINC/RSNA playbook code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loinc_code: Option<Text>,
    /// Duration of the booked slot, in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_duration_minutes: Option<DurationMinutes>,
    /// Patient preparation instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preparation_instructions: Option<Text>,
    /// Whether the procedure can be ordered.
    pub is_active: bool,
}

/// A planned duration: 1 to 1440 min.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationMinutes(u16);

/// The number is not a valid duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 1440 minutes")]
pub struct InvalidDuration;

impl DurationMinutes {
    /// Parses a duration in minutes, 1 to 1440.
    ///
    /// # Errors
    ///
    /// [`InvalidDuration`] for any other number.
    pub fn parse(minutes: i64) -> Result<Self, InvalidDuration> {
        match u16::try_from(minutes) {
            Ok(minutes @ 1..=1440) => Ok(Self(minutes)),
            Ok(_) | Err(_) => Err(InvalidDuration),
        }
    }
}

/// Commands of a procedure.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Adds the procedure to the catalog.
    Create(Box<Procedure>),
    /// Changes the given members.
    Update(Box<Changes>),
}

/// Members to change. An omitted member is unchanged; `null` removes an optional member. Code and modality are
/// immutable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// New name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// New description.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub description: Change<Text>,
    /// New body part.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub body_part: Change<BodyPart>,
    /// New SNOMED CT concept id.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub snomed_code: Change<Text>,
    /// New LOINC code.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub loinc_code: Change<Text>,
    /// New planned duration.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub default_duration_minutes: Change<DurationMinutes>,
    /// New preparation instructions.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub preparation_instructions: Change<Text>,
    /// Whether the entry is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

domain_events! {
    /// Events of a procedure.
    pub enum Event {
        /// The procedure was added to the catalog.
        Created(Created) = "ImagingProcedure.Created" v 1,
        /// Members of the procedure changed.
        Updated(Updated) = "ImagingProcedure.Updated" v 2,
    }
}

/// `ImagingProcedure.Created`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Procedure id.
    pub procedure_id: ProcedureId,
    /// The complete procedure.
    #[serde(flatten)]
    pub procedure: Procedure,
}

/// `ImagingProcedure.Updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// Procedure id.
    pub procedure_id: ProcedureId,
    /// Changed members.
    #[serde(flatten)]
    pub changes: Changes,
}

event_data_without_phi!(Created, Updated);

/// Reasons why a command of a procedure is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The code already exists.
    #[error("a procedure with this code already exists")]
    AlreadyExists,
    /// The procedure does not exist.
    #[error("procedure not found")]
    NotFound,
}

impl Aggregate for Procedure {
    const STREAM_TYPE: &'static str = "ImagingProcedure";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        match (state, command) {
            (None, Command::Create(procedure)) => Ok(vec![create(*procedure, context)]),
            (Some(_), Command::Create(_)) => Err(Error::AlreadyExists),
            (Some(procedure), Command::Update(changes)) => Ok(update(procedure, *changes, context)),
            (None, Command::Update(_)) => Err(Error::NotFound),
        }
    }

    fn evolve(state: Option<Self>, event: Event) -> Result<Self, UnexpectedEvent> {
        match (state, event) {
            (None, Event::Created(created)) => Ok(created.procedure),
            (Some(procedure), Event::Updated(updated)) => Ok(procedure.apply(updated.changes)),
            (Some(_), Event::Created(_)) => Err(UnexpectedEvent {
                event: "ImagingProcedure.Created",
            }),
            (None, Event::Updated(_)) => Err(UnexpectedEvent {
                event: "ImagingProcedure.Updated",
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

fn create(procedure: Procedure, context: &Context) -> Event {
    let procedure_id = ProcedureId::derive(context.tenant_id, &procedure.code);
    Event::Created(Created {
        procedure_id,
        procedure,
    })
}

fn update(procedure: &Procedure, changes: Changes, context: &Context) -> Vec<Event> {
    if procedure.clone().apply(changes.clone()) == *procedure {
        return Vec::new();
    }
    let procedure_id = ProcedureId::derive(context.tenant_id, &procedure.code);
    vec![Event::Updated(Updated {
        procedure_id,
        changes,
    })]
}

impl Procedure {
    fn apply(self, changes: Changes) -> Self {
        Self {
            code: self.code,
            modality_id: self.modality_id,
            modality_code: self.modality_code,
            name: changes.name.unwrap_or(self.name),
            description: changes.description.apply(self.description),
            body_part: changes.body_part.apply(self.body_part),
            snomed_code: changes.snomed_code.apply(self.snomed_code),
            loinc_code: changes.loinc_code.apply(self.loinc_code),
            default_duration_minutes: changes
                .default_duration_minutes
                .apply(self.default_duration_minutes),
            preparation_instructions: changes
                .preparation_instructions
                .apply(self.preparation_instructions),
            is_active: changes.is_active.unwrap_or(self.is_active),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::{context, given};

    fn ct_head() -> Procedure {
        let modality_code = ModalityCode::parse("CT").unwrap();
        Procedure {
            code: ProcedureCode::parse("CT_HEAD").unwrap(),
            name: Text::parse("CT head").unwrap(),
            modality_id: ModalityId::derive(context().tenant_id, &modality_code),
            modality_code,
            description: None,
            body_part: BodyPart::parse("HEAD").ok(),
            snomed_code: None,
            loinc_code: None,
            default_duration_minutes: DurationMinutes::parse(15).ok(),
            preparation_instructions: None,
            is_active: true,
        }
    }

    fn created() -> Event {
        create(ct_head(), &context())
    }

    fn retired() -> Box<Changes> {
        Box::new(Changes {
            is_active: Some(false),
            ..Changes::default()
        })
    }

    #[test]
    fn is_created_once() {
        given::<Procedure>([])
            .when(Command::Create(Box::new(ct_head())))
            .then([created()]);
        given::<Procedure>([created()])
            .when(Command::Create(Box::new(ct_head())))
            .refused(Error::AlreadyExists);
    }

    #[test]
    fn is_updated_where_it_exists_and_something_changes() {
        let updated = Event::Updated(Updated {
            procedure_id: ProcedureId::derive(context().tenant_id, &ct_head().code),
            changes: *retired(),
        });
        given::<Procedure>([])
            .when(Command::Update(retired()))
            .refused(Error::NotFound);
        given::<Procedure>([created()])
            .when(Command::Update(retired()))
            .then([updated.clone()]);
        given::<Procedure>([created(), updated])
            .when(Command::Update(retired()))
            .then([]);
    }

    #[test]
    fn durations_are_a_minute_to_a_day() {
        for bad in [i64::MIN, -1, 0, 1441, i64::MAX] {
            assert_eq!(DurationMinutes::parse(bad), Err(InvalidDuration), "{bad}");
        }
        assert!(DurationMinutes::parse(1440).is_ok());
    }

    #[test]
    fn an_optional_member_is_taken_away_by_null_and_left_by_silence() {
        let general: Changes = serde_json::from_str(r#"{"body_part": null}"#).unwrap();
        assert_eq!(general.body_part, Change::Clear);
        let update = || Command::Update(Box::new(general.clone()));
        let updated = Event::Updated(Updated {
            procedure_id: ProcedureId::derive(context().tenant_id, &ct_head().code),
            changes: general.clone(),
        });
        given::<Procedure>([created()])
            .when(update())
            .then([updated.clone()]);
        let procedure = given::<Procedure>([created(), updated.clone()]).state();
        assert_eq!(procedure.body_part, None);
        assert_eq!(
            procedure.default_duration_minutes,
            ct_head().default_duration_minutes
        );
        given::<Procedure>([created(), updated])
            .when(update())
            .then([]);
    }
}
