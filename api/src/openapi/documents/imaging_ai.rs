//! Response bodies of AI models, AI tasks and AI outputs.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::openapi::values;

documents! {
    /// An AI model. Endpoint credentials are never returned.
    AiModelDocument as ImagingAIModel {
        code: String,
        name: String,
        description: Option<String>,
        modality_code: Option<String>,
        body_part: Option<String>,
        capabilities: crate::ai_models::CapabilitiesBody,
        vendor: Option<String>,
        /// Vendor version.
        model_version: Option<String>,
        /// `{"url": ..., "auth": {"kind": ...}, "timeout_ms": ..., "max_attempts": ...}`.
        endpoint_config: Option<Map<String, Value>>,
        is_active: bool,
    }
    /// Execution of an AI model on a study (FHIR Task).
    AiTaskDocument as ImagingAITask {
        imaging_study_id: Uuid,
        patient_id: Uuid,
        ai_model_id: Uuid,
        ai_model_code: String,
        task_type: values::AiTaskType,
        status: values::AiTaskStatusName,
        requested_at: values::Time,
        started_at: Option<values::Time>,
        completed_at: Option<values::Time>,
        error_message: Option<String>,
        /// Attempt number, starting at 1.
        attempt: u32,
        number_of_outputs: u64,
        latest_output_id: Option<Uuid>,
    }
    /// Output of an AI task (FHIR Observation). `payload` is PHI except the score and flags of a triage.
    AiOutputDocument as ImagingAIOutput {
        imaging_ai_task_id: Uuid,
        imaging_study_id: Uuid,
        patient_id: Uuid,
        ai_model_id: Uuid,
        ai_model_code: String,
        task_type: values::AiTaskType,
        output_type: values::AiOutputType,
        phi: values::PhiState,
        payload: Option<Map<String, Value>>,
    }
}
