//! Response bodies of reading profiles and worklist items.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::openapi::values;

documents! {
    /// A radiologist's reading profile.
    ReadingProfileDocument as RadiologyReadingProfile {
        practitioner_id: Uuid,
        /// Modalities the radiologist may claim; all if absent.
        allowed_modalities: Option<Vec<String>>,
        /// Body parts the radiologist may claim; all if absent.
        allowed_body_parts: Option<Vec<String>>,
        max_concurrent_cases: u8,
        reading_locations: Option<Vec<String>>,
        is_active: bool,
    }
    /// A case on the radiologists' worklist. PHI fields are absent unless `phi` is `open`.
    WorklistItemDocument as RadiologyWorklistItem {
        imaging_study_id: Uuid,
        imaging_order_id: Option<Uuid>,
        patient_id: Uuid,
        modality_code: String,
        body_part: Option<String>,
        priority: values::Priority,
        status: values::ItemStatus,
        /// Radiologist who holds or completed the case.
        assigned_radiologist_id: Option<Uuid>,
        claimed_at: Option<values::Time>,
        last_activity_at: values::Time,
        /// Highest contributed score, 0 to 1.
        ai_triage_score: Option<f64>,
        ai_triage_flags: Map<String, Value>,
        ai_contributions: Vec<Map<String, Value>>,
        /// Reasons for attention.
        attention: Vec<values::Attention>,
        accession_number: Option<String>,
        description: Option<String>,
        phi: values::PhiState,
        patient: Option<Map<String, Value>>,
    }
}
