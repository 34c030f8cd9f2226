//! AI models, their runs and what came of them.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

documents! {
    /// An AI model. What it takes to be let in at its endpoint is never shown.
    AiModelDocument as ImagingAIModel {
        code: String,
        name: String,
        description: Option<String>,
        modality_code: Option<String>,
        body_part: Option<String>,
        capabilities: crate::ai_models::CapabilitiesBody,
        vendor: Option<String>,
        /// The vendor's version of it.
        model_version: Option<String>,
        /// `{"url": ..., "auth": {"kind": ...}, "timeout_ms": ..., "max_attempts": ...}`.
        endpoint_config: Option<Map<String, Value>>,
        is_active: bool,
    }
    /// A run of a model over a study (FHIR Task).
    AiTaskDocument as ImagingAITask {
        imaging_study_id: Uuid,
        patient_id: Uuid,
        ai_model_id: Uuid,
        ai_model_code: String,
        task_type: String,
        status: String,
        requested_at: String,
        started_at: Option<String>,
        completed_at: Option<String>,
        error_message: Option<String>,
        /// The how-manieth try, from 1.
        attempt: u32,
        number_of_outputs: u64,
        latest_output_id: Option<Uuid>,
    }
    /// A result of such a run. `payload` is PHI, a triage's score and flags aside.
    AiOutputDocument as ImagingAIOutput {
        imaging_ai_task_id: Uuid,
        imaging_study_id: Uuid,
        patient_id: Uuid,
        ai_model_id: Uuid,
        ai_model_code: String,
        task_type: String,
        output_type: String,
        /// open, sealed, erased, or unreadable where what is stored is damaged.
        phi: String,
        payload: Option<Map<String, Value>>,
    }
}
