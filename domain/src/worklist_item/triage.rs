//! What AI models say of an item: each model's part is kept, score and flags are drawn from all of them.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::ids::{AiModelId, AiTaskId};
use crate::score::Score;
use crate::text::Text;

/// How many parts an item has at most. A tenant has a few models; a part more, and each event of such an item would
/// cost what all of them say.
pub const MAX_PARTS: usize = 64;

/// The sum of all contributions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Triage {
    /// The highest score of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    ai_triage_score: Option<Score>,
    /// Every flag, once.
    ai_triage_flags: Flags,
    /// One part a model.
    ai_contributions: Vec<AiContribution>,
}

/// What models found, by name: `{"flags": ["ICH_suspected"]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// The names.
    pub flags: Vec<Text>,
}

/// One model's part, or the part that another system or a person added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiContribution {
    /// The model; none, where it is not one of the catalog's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_model_id: Option<AiModelId>,
    /// The run of the model that said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaging_ai_task_id: Option<AiTaskId>,
    /// How urgent the model finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// What it found.
    pub flags: Vec<Text>,
}

impl Triage {
    /// The highest score, where any model gave one.
    pub fn score(&self) -> Option<Score> {
        self.ai_triage_score
    }

    /// Every flag, in the order of the parts.
    pub fn flags(&self) -> &[Text] {
        &self.ai_triage_flags.flags
    }

    /// The parts, in the order they first came.
    pub fn contributions(&self) -> &[AiContribution] {
        &self.ai_contributions
    }

    /// A model's part.
    pub fn contribution_of(&self, model: Option<AiModelId>) -> Option<&AiContribution> {
        self.ai_contributions
            .iter()
            .find(|contribution| contribution.ai_model_id == model)
    }

    /// With one more part, or with another in the place of the same model's.
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
