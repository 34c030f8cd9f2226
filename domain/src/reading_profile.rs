//! `RadiologyReadingProfile`: the modalities, body parts and locations of a radiologist, and the case limit. The id is
//! derived from the practitioner id, so each practitioner has at most one profile.
//!
//! ```text
//! (none) --Create--> active <--Update--> inactive
//! ```

use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::body_part::BodyPart;
use crate::change::Change;
use crate::codes::ModalityCode;
use crate::ids::{PatientId, PractitionerId, ReadingProfileId};
use crate::json::Members;
use crate::phi::Phi;
use crate::text::Text;
use crate::{domain_events, event_data_without_phi};

/// Current state of a reading profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadingProfile {
    /// The radiologist. Immutable: the profile id is derived from it.
    pub practitioner_id: PractitionerId,
    /// Modalities that the radiologist may claim; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_modalities: Option<Vec<ModalityCode>>,
    /// Body parts that the radiologist may claim, compared without regard to case; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_body_parts: Option<Vec<BodyPart>>,
    /// Maximum number of open cases.
    pub max_concurrent_cases: CaseLimit,
    /// Reading locations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading_locations: Option<Vec<Text>>,
    /// Whether the radiologist may claim cases.
    pub is_active: bool,
}

/// Maximum number of cases assigned to a radiologist: 1 to 100, default 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseLimit(u8);

/// The number is not a valid case limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 100 cases")]
pub struct InvalidCaseLimit;

impl CaseLimit {
    /// Parses a case limit, 1 to 100.
    ///
    /// # Errors
    ///
    /// [`InvalidCaseLimit`] for any other number.
    pub fn parse(cases: i64) -> Result<Self, InvalidCaseLimit> {
        match u8::try_from(cases) {
            Ok(cases @ 1..=100) => Ok(Self(cases)),
            Ok(_) | Err(_) => Err(InvalidCaseLimit),
        }
    }

    /// Returns the limit as a number of cases.
    pub fn cases(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for CaseLimit {
    fn default() -> Self {
        Self(5)
    }
}

/// Commands of a reading profile.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Adds the profile to the catalog.
    Create(Box<ReadingProfile>),
    /// Changes the given members.
    Update(Box<Changes>),
}

/// Members to change. An omitted member is unchanged; `null` removes an optional member. The practitioner is immutable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// New modalities; `null` allows all.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub allowed_modalities: Change<Vec<ModalityCode>>,
    /// New body parts; `null` allows all.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub allowed_body_parts: Change<Vec<BodyPart>>,
    /// New case limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_cases: Option<CaseLimit>,
    /// New reading locations.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub reading_locations: Change<Vec<Text>>,
    /// Whether the entry is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

domain_events! {
    /// Events of a reading profile.
    pub enum Event {
        /// The profile was added to the catalog.
        Created(Created) = "RadiologyReadingProfile.Created" v 1,
        /// Members of the profile changed.
        Updated(Updated) = "RadiologyReadingProfile.Updated" v 2,
    }
}

/// `RadiologyReadingProfile.Created`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Reading profile id.
    pub reading_profile_id: ReadingProfileId,
    /// The complete profile.
    #[serde(flatten)]
    pub profile: ReadingProfile,
}

/// `RadiologyReadingProfile.Updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// Reading profile id.
    pub reading_profile_id: ReadingProfileId,
    /// Changed members.
    #[serde(flatten)]
    pub changes: Changes,
}

event_data_without_phi!(Created, Updated);

/// Reasons why a reading profile rejects a command or a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The practitioner already has a profile.
    #[error("practitioner already has a reading profile")]
    AlreadyExists,
    /// The profile does not exist.
    #[error("reading profile not found")]
    NotFound,
    /// The profile is inactive: no case may be claimed.
    #[error("reading profile is inactive")]
    NotActive,
    /// The modality of the worklist item is not allowed.
    #[error("reading profile does not allow this modality")]
    ModalityNotAllowed,
    /// The body part of the worklist item is not allowed.
    #[error("reading profile does not allow this body part")]
    BodyPartNotAllowed,
}

impl Aggregate for ReadingProfile {
    const STREAM_TYPE: &'static str = "RadiologyReadingProfile";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        match (state, command) {
            (None, Command::Create(profile)) => Ok(vec![create(*profile, context)]),
            (Some(_), Command::Create(_)) => Err(Error::AlreadyExists),
            (Some(profile), Command::Update(changes)) => Ok(update(profile, *changes, context)),
            (None, Command::Update(_)) => Err(Error::NotFound),
        }
    }

    fn evolve(state: Option<Self>, event: Event) -> Result<Self, UnexpectedEvent> {
        match (state, event) {
            (None, Event::Created(created)) => Ok(created.profile),
            (Some(profile), Event::Updated(updated)) => Ok(profile.apply(updated.changes)),
            (Some(_), Event::Created(_)) => Err(UnexpectedEvent {
                event: "RadiologyReadingProfile.Created",
            }),
            (None, Event::Updated(_)) => Err(UnexpectedEvent {
                event: "RadiologyReadingProfile.Updated",
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

fn create(profile: ReadingProfile, context: &Context) -> Event {
    Event::Created(Created {
        reading_profile_id: ReadingProfileId::derive(context.tenant_id, profile.practitioner_id),
        profile,
    })
}

fn update(profile: &ReadingProfile, changes: Changes, context: &Context) -> Vec<Event> {
    if profile.clone().apply(changes.clone()) == *profile {
        return Vec::new();
    }
    vec![Event::Updated(Updated {
        reading_profile_id: ReadingProfileId::derive(context.tenant_id, profile.practitioner_id),
        changes,
    })]
}

impl ReadingProfile {
    /// Checks whether a case with this modality and body part may be claimed; an absent body part is allowed.
    ///
    /// # Errors
    ///
    /// [`Error`] with the restriction that the case violates.
    pub fn allows(
        &self,
        modality: &ModalityCode,
        body_part: Option<&BodyPart>,
    ) -> Result<(), Error> {
        if !self.is_active {
            return Err(Error::NotActive);
        }
        let modalities = self.allowed_modalities.as_ref();
        if modalities.is_some_and(|allowed| !allowed.contains(modality)) {
            return Err(Error::ModalityNotAllowed);
        }
        let (Some(allowed), Some(body_part)) = (&self.allowed_body_parts, body_part) else {
            return Ok(());
        };
        if allowed.iter().any(|own| own.matches(body_part)) {
            Ok(())
        } else {
            Err(Error::BodyPartNotAllowed)
        }
    }

    fn apply(self, changes: Changes) -> Self {
        Self {
            practitioner_id: self.practitioner_id,
            allowed_modalities: changes.allowed_modalities.apply(self.allowed_modalities),
            allowed_body_parts: changes.allowed_body_parts.apply(self.allowed_body_parts),
            max_concurrent_cases: changes
                .max_concurrent_cases
                .unwrap_or(self.max_concurrent_cases),
            reading_locations: changes.reading_locations.apply(self.reading_locations),
            is_active: changes.is_active.unwrap_or(self.is_active),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::{context, given};
    use uuid::Uuid;

    fn part(text: &str) -> BodyPart {
        BodyPart::parse(text).unwrap()
    }

    fn ct() -> ModalityCode {
        ModalityCode::parse("CT").unwrap()
    }

    fn of_heads() -> ReadingProfile {
        ReadingProfile {
            practitioner_id: Uuid::from_u128(21).into(),
            allowed_modalities: Some(vec![ct()]),
            allowed_body_parts: Some(vec![part("Head")]),
            max_concurrent_cases: CaseLimit::default(),
            reading_locations: None,
            is_active: true,
        }
    }

    fn created() -> Event {
        create(of_heads(), &context())
    }

    fn updated(changes: Changes) -> Event {
        Event::Updated(Updated {
            reading_profile_id: ReadingProfileId::derive(
                context().tenant_id,
                of_heads().practitioner_id,
            ),
            changes,
        })
    }

    fn retired() -> Changes {
        Changes {
            is_active: Some(false),
            ..Changes::default()
        }
    }

    #[test]
    fn is_created_once_a_practitioner() {
        given::<ReadingProfile>([])
            .when(Command::Create(Box::new(of_heads())))
            .then([created()]);
        given::<ReadingProfile>([created()])
            .when(Command::Create(Box::new(of_heads())))
            .refused(Error::AlreadyExists);
    }

    #[test]
    fn is_updated_where_it_exists_and_something_changes() {
        given::<ReadingProfile>([])
            .when(Command::Update(Box::new(retired())))
            .refused(Error::NotFound);
        given::<ReadingProfile>([created()])
            .when(Command::Update(Box::new(retired())))
            .then([updated(retired())]);
        given::<ReadingProfile>([created(), updated(retired())])
            .when(Command::Update(Box::new(retired())))
            .then([]);
    }

    #[test]
    fn a_restriction_is_taken_away_by_null_and_left_by_silence() {
        let silent: Changes = serde_json::from_str("{}").unwrap();
        assert_eq!(silent, Changes::default());
        let lifted: Changes = serde_json::from_str(r#"{"allowed_modalities": null}"#).unwrap();
        assert_eq!(lifted.allowed_modalities, Change::Clear);
        let profile = given::<ReadingProfile>([created(), updated(lifted)]).state();
        assert_eq!(profile.allowed_modalities, None);
        assert_eq!(profile.allowed_body_parts, of_heads().allowed_body_parts);
    }

    #[test]
    fn admits_what_is_allowed_in_any_case_and_what_the_case_does_not_state() {
        let profile = of_heads();
        let head = part(" head ");
        let chest = part("CHEST");
        let mr = ModalityCode::parse("MR").unwrap();
        assert_eq!(profile.allows(&ct(), Some(&head)), Ok(()));
        assert_eq!(profile.allows(&ct(), None), Ok(()));
        assert_eq!(
            profile.allows(&ct(), Some(&chest)),
            Err(Error::BodyPartNotAllowed)
        );
        assert_eq!(
            profile.allows(&mr, Some(&head)),
            Err(Error::ModalityNotAllowed)
        );
    }

    #[test]
    fn admits_everything_where_nothing_is_restricted_and_nothing_where_inactive() {
        let free = ReadingProfile {
            allowed_modalities: None,
            allowed_body_parts: None,
            ..of_heads()
        };
        let retired = ReadingProfile {
            is_active: false,
            ..free.clone()
        };
        assert_eq!(free.allows(&ct(), Some(&part("CHEST"))), Ok(()));
        assert_eq!(retired.allows(&ct(), None), Err(Error::NotActive));
    }

    #[test]
    fn limits_are_one_to_a_hundred_cases() {
        for bad in [i64::MIN, -1, 0, 101, i64::MAX] {
            assert_eq!(CaseLimit::parse(bad), Err(InvalidCaseLimit), "{bad}");
        }
        assert_eq!(CaseLimit::parse(100).unwrap().cases(), 100);
        assert_eq!(CaseLimit::default().cases(), 5);
    }
}
