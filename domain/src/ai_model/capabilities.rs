//! Capabilities of an AI model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire_enum;

/// Types of AI tasks, which are also the member names of `capabilities`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskType {
    /// Urgency of the case.
    Triage,
    /// Image quality.
    Quality,
    /// Draft report generation.
    PreReport,
    /// Comparison with a prior study.
    Comparison,
    /// Localisation of findings.
    Detection,
    /// Segmentation.
    Segmentation,
}

wire_enum! {
    TaskType: Triage = "triage", Quality = "quality", PreReport = "pre_report",
        Comparison = "comparison", Detection = "detection", Segmentation = "segmentation";
}

impl TaskType {
    /// Returns whether the system requests the task automatically when a study arrives.
    pub const fn is_automatic(self) -> bool {
        match self {
            Self::Triage | Self::Quality | Self::PreReport => true,
            Self::Comparison | Self::Detection | Self::Segmentation => false,
        }
    }
}

/// Declared capabilities of a model; a task type that is not listed is not supported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(BTreeMap<TaskType, bool>);

impl Capabilities {
    /// Creates the capabilities from pairs, one per task type.
    pub fn new(said: impl IntoIterator<Item = (TaskType, bool)>) -> Self {
        Self(said.into_iter().collect())
    }

    /// Returns the capabilities with a merge patch (RFC 7396) applied.
    #[must_use]
    pub fn patched(mut self, patch: CapabilitiesPatch) -> Self {
        for (name, can) in patch.0 {
            match can {
                Some(can) => self.0.insert(name, can),
                None => self.0.remove(&name),
            };
        }
        self
    }

    /// Returns whether the task type is supported.
    pub fn supports(&self, task_type: TaskType) -> bool {
        self.0.get(&task_type).is_some_and(|flag| *flag)
    }
}

/// A merge patch (RFC 7396) of capabilities. A name without a value removes the name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapabilitiesPatch(BTreeMap<TaskType, Option<bool>>);

impl CapabilitiesPatch {
    /// Creates the patch from pairs, one per task type.
    pub fn new(said: impl IntoIterator<Item = (TaskType, Option<bool>)>) -> Self {
        Self(said.into_iter().collect())
    }
}
