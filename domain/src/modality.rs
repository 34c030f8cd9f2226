//! `ImagingModality`: a type of scanner in the catalog. The id is derived from the code, so each code is unique.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use crate::catalog::{CatalogEntry, EntryNames};
use crate::change::Change;
use crate::codes::ModalityCode;
use crate::ids::{ModalityId, TenantId};
use crate::text::Text;

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

impl CatalogEntry for Modality {
    const NAMES: EntryNames = EntryNames {
        stream_type: "ImagingModality",
        created: ("ImagingModality.Created", 1),
        updated: ("ImagingModality.Updated", 2),
        id: "modality_id",
        already_exists: "a modality with this code already exists",
        not_found: "modality not found",
    };

    type Id = ModalityId;
    type Recorded = Self;
    type Changes = Changes;
    type Update = Changes;
    type Invalid = Infallible;

    fn id(&self, tenant: TenantId) -> ModalityId {
        ModalityId::derive(tenant, &self.code)
    }

    fn merge(&self, changes: Changes) -> Result<Changes, Infallible> {
        Ok(changes)
    }

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
    use crate::catalog::tests::assert_is_entry;

    fn ct() -> Modality {
        Modality {
            code: ModalityCode::parse("CT").unwrap(),
            name: Text::parse("Computed tomography").unwrap(),
            description: None,
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
        assert_is_entry(&ct(), &retired(), retired());
    }
}
