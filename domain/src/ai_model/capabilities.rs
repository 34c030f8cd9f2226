//! What a model can be asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire_enum;

/// What a model can be asked for: the names of `capabilities`, and the types of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskType {
    /// How urgent the case is.
    Triage,
    /// How good the images are.
    Quality,
    /// Draft report generation.
    PreReport,
    /// Comparison with a prior study.
    Comparison,
    /// Where something is.
    Detection,
    /// Segmentation.
    Segmentation,
}

wire_enum! {
    TaskType: Triage = "triage", Quality = "quality", PreReport = "pre_report",
        Comparison = "comparison", Detection = "detection", Segmentation = "segmentation";
}

impl TaskType {
    /// Whether the system asks for it by itself when a study arrives.
    pub const fn is_automatic(self) -> bool {
        match self {
            Self::Triage | Self::Quality | Self::PreReport => true,
            Self::Comparison | Self::Detection | Self::Segmentation => false,
        }
    }
}

/// What a model says it can do and cannot; what it does not name it cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(BTreeMap<TaskType, bool>);

impl Capabilities {
    /// From what was said, each name once.
    pub fn new(said: impl IntoIterator<Item = (TaskType, bool)>) -> Self {
        Self(said.into_iter().collect())
    }

    /// With a merge patch (RFC 7396) laid over.
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

    /// Whether this can be asked for.
    pub fn supports(&self, task_type: TaskType) -> bool {
        self.0.get(&task_type).is_some_and(|flag| *flag)
    }
}

/// A merge patch (RFC 7396) of capabilities. A name without a value is one that the model no longer names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapabilitiesPatch(BTreeMap<TaskType, Option<bool>>);

impl CapabilitiesPatch {
    /// From what was said, each name once.
    pub fn new(said: impl IntoIterator<Item = (TaskType, Option<bool>)>) -> Self {
        Self(said.into_iter().collect())
    }
}
