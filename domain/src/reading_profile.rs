//! `RadiologyReadingProfile`: the modalities, body parts and locations of a radiologist, and the case limit. The id is
//! derived from the practitioner id, so each practitioner has at most one profile.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use crate::body_part::BodyPart;
use crate::catalog::{CatalogEntry, EntryNames};
use crate::change::Change;
use crate::codes::ModalityCode;
use crate::ids::{PractitionerId, ReadingProfileId, TenantId};
use crate::text::Text;

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

/// Reasons why a reading profile does not allow a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Restriction {
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

impl CatalogEntry for ReadingProfile {
    const NAMES: EntryNames = EntryNames {
        stream_type: "RadiologyReadingProfile",
        created: ("RadiologyReadingProfile.Created", 1),
        updated: ("RadiologyReadingProfile.Updated", 2),
        id: "reading_profile_id",
        already_exists: "practitioner already has a reading profile",
        not_found: "reading profile not found",
    };

    type Id = ReadingProfileId;
    type Recorded = Self;
    type Changes = Changes;
    type Update = Changes;
    type Invalid = Infallible;

    fn id(&self, tenant: TenantId) -> ReadingProfileId {
        ReadingProfileId::derive(tenant, self.practitioner_id)
    }

    fn merge(&self, changes: Changes) -> Result<Changes, Infallible> {
        Ok(changes)
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

impl ReadingProfile {
    /// Checks whether a case with this modality and body part may be claimed; an absent body part is allowed.
    ///
    /// # Errors
    ///
    /// [`Restriction`] that the case violates.
    pub fn allows(
        &self,
        modality: &ModalityCode,
        body_part: Option<&BodyPart>,
    ) -> Result<(), Restriction> {
        if !self.is_active {
            return Err(Restriction::NotActive);
        }
        let modalities = self.allowed_modalities.as_ref();
        if modalities.is_some_and(|allowed| !allowed.contains(modality)) {
            return Err(Restriction::ModalityNotAllowed);
        }
        let (Some(allowed), Some(body_part)) = (&self.allowed_body_parts, body_part) else {
            return Ok(());
        };
        if allowed.iter().any(|own| own.matches(body_part)) {
            Ok(())
        } else {
            Err(Restriction::BodyPartNotAllowed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tests::{assert_is_entry, created, updated};
    use crate::given_when_then::given;
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

    fn retired() -> Changes {
        Changes {
            is_active: Some(false),
            ..Changes::default()
        }
    }

    #[test]
    fn is_an_entry_of_the_catalog() {
        assert_is_entry(&of_heads(), &retired(), retired());
    }

    #[test]
    fn a_restriction_is_taken_away_by_null_and_left_by_silence() {
        let silent: Changes = serde_json::from_str("{}").unwrap();
        assert_eq!(silent, Changes::default());
        let lifted: Changes = serde_json::from_str(r#"{"allowed_modalities": null}"#).unwrap();
        assert_eq!(lifted.allowed_modalities, Change::Clear);
        let profile =
            given::<ReadingProfile>([created(&of_heads()), updated(&of_heads(), lifted)]).state();
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
            Err(Restriction::BodyPartNotAllowed)
        );
        assert_eq!(
            profile.allows(&mr, Some(&head)),
            Err(Restriction::ModalityNotAllowed)
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
        assert_eq!(retired.allows(&ct(), None), Err(Restriction::NotActive));
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
