//! Policy that applies the triage results of AI models to the worklist item of the study.

use async_trait::async_trait;
use roentgen_domain::ai_task::{self, AiTask};
use roentgen_domain::ids::WorklistItemId;
use roentgen_domain::worklist_item::{AiContribution, Command};
use roentgen_store::error::EventReadError;

use super::{Cause, Effect, Policy, PolicyMemory};
use crate::worklist::system_commands::SystemItemCommand;

/// Applies score and flags on `ImagingAI.OutputCreated` of type triage.
#[derive(Debug)]
pub(super) struct ApplyTriage;

#[async_trait]
impl Policy for ApplyTriage {
    fn name(&self) -> &'static str {
        "triage"
    }

    fn event_types(&self) -> &'static [&'static str] {
        &["ImagingAI.OutputCreated"]
    }

    fn react(
        &self,
        cause: &Cause<'_>,
        _recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError> {
        let Some(ai_task::Event::OutputCreated(created)) = cause.event::<AiTask>()? else {
            return Ok(Vec::new());
        };
        // Score and flags of a triage are the only output content that events contain unencrypted.
        let Some(triage) = created.payload else {
            return Ok(Vec::new());
        };
        let study_id = created.imaging_study_id;
        let contribute = SystemItemCommand {
            study_id,
            command: Command::Contribute(AiContribution {
                ai_model_id: Some(created.ai_model_id),
                imaging_ai_task_id: Some(created.ai_task_id),
                score: Some(triage.triage_score),
                flags: triage.flags,
            }),
        };
        let item = WorklistItemId::derive(study_id);
        Ok(vec![Effect::new("contribute", item, study_id, contribute)])
    }
}
