//! `ImagingProcedure`: an examination that can be ordered, with its SNOMED CT and LOINC codes. The id is derived from
//! the code, so each code is unique.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use crate::body_part::BodyPart;
use crate::catalog::{CatalogEntry, EntryNames};
use crate::change::Change;
use crate::codes::{ModalityCode, ProcedureCode};
use crate::ids::{ModalityId, ProcedureId, TenantId};
use crate::text::Text;

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

impl CatalogEntry for Procedure {
    const NAMES: EntryNames = EntryNames {
        stream_type: "ImagingProcedure",
        created: ("ImagingProcedure.Created", 1),
        updated: ("ImagingProcedure.Updated", 2),
        id: "procedure_id",
        already_exists: "a procedure with this code already exists",
        not_found: "procedure not found",
    };

    type Id = ProcedureId;
    type Recorded = Self;
    type Changes = Changes;
    type Update = Changes;
    type Invalid = Infallible;

    fn id(&self, tenant: TenantId) -> ProcedureId {
        ProcedureId::derive(tenant, &self.code)
    }

    fn merge(&self, changes: Changes) -> Result<Changes, Infallible> {
        Ok(changes)
    }

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
    use crate::catalog::tests::{assert_is_entry, created, updated};
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

    fn retired() -> Changes {
        Changes {
            is_active: Some(false),
            ..Changes::default()
        }
    }

    #[test]
    fn is_an_entry_of_the_catalog() {
        assert_is_entry(&ct_head(), &retired(), retired());
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
        assert_is_entry(&ct_head(), &general, general.clone());
        let procedure =
            given::<Procedure>([created(&ct_head()), updated(&ct_head(), general)]).state();
        assert_eq!(procedure.body_part, None);
        assert_eq!(
            procedure.default_duration_minutes,
            ct_head().default_duration_minutes
        );
    }
}
