//! Contributions of AI models to an item: one per model; score and flags are derived from all of them.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::ids::{AiModelId, AiTaskId};
use crate::score::Score;
use crate::text::Text;

/// Maximum number of contributions per item. Tenants have few models. The limit bounds the cost of each event of an
/// item, which grows with its contributions.
pub const MAX_PARTS: usize = 64;

/// Combination of all contributions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Triage {
    /// Highest score of all contributions.
    #[serde(skip_serializing_if = "Option::is_none")]
    ai_triage_score: Option<Score>,
    /// All flags, without duplicates.
    ai_triage_flags: Flags,
    /// One contribution per model.
    ai_contributions: Vec<AiContribution>,
}

/// Findings of models, by name: `{"flags": ["ICH_suspected"]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// Names of the findings.
    pub flags: Vec<Text>,
}

/// Contribution of one model, or of another system or a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiContribution {
    /// Model; `None` if the source is not a model of the catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_model_id: Option<AiModelId>,
    /// Task that produced the contribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaging_ai_task_id: Option<AiTaskId>,
    /// Urgency according to the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// Flags of the model.
    pub flags: Vec<Text>,
}

impl Triage {
    /// Returns the highest score, if any model gave one.
    pub fn score(&self) -> Option<Score> {
        self.ai_triage_score
    }

    /// Returns all flags, in the order of the contributions.
    pub fn flags(&self) -> &[Text] {
        &self.ai_triage_flags.flags
    }

    /// Returns the contributions, in the order of their first arrival.
    pub fn contributions(&self) -> &[AiContribution] {
        &self.ai_contributions
    }

    /// Returns the contribution of a model.
    pub fn contribution_of(&self, model: Option<AiModelId>) -> Option<&AiContribution> {
        self.ai_contributions
            .iter()
            .find(|contribution| contribution.ai_model_id == model)
    }

    /// Adds a contribution, or replaces the contribution of the same model.
    #[must_use]
    pub fn with(mut self, part: AiContribution) -> Self {
        let known = self
            .ai_contributions
            .iter_mut()
            .find(|contribution| contribution.ai_model_id == part.ai_model_id);
        match known {
            Some(place) => *place = part,
            None => self.ai_contributions.push(part),
        }
        Self::from_contributions(self.ai_contributions)
    }

    fn from_contributions(ai_contributions: Vec<AiContribution>) -> Self {
        let scores = ai_contributions
            .iter()
            .filter_map(|contribution| contribution.score);
        let ai_triage_score = scores.reduce(Score::max);
        let mut seen = HashSet::new();
        let all = ai_contributions.iter().flat_map(|part| &part.flags);
        let flags = all.filter(|flag| seen.insert(*flag)).cloned().collect();
        Self {
            ai_triage_score,
            ai_triage_flags: Flags { flags },
            ai_contributions,
        }
    }
}
