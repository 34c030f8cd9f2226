//! Response bodies of modalities, procedures and orders.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::openapi::values;

documents! {
    /// A modality.
    ModalityDocument as ImagingModality {
        code: String,
        name: String,
        description: Option<String>,
        is_active: bool,
    }
    /// A procedure.
    ProcedureDocument as ImagingProcedure {
        code: String,
        name: String,
        modality_id: Uuid,
        modality_code: String,
        description: Option<String>,
        body_part: Option<String>,
        snomed_code: Option<String>,
        loinc_code: Option<String>,
        default_duration_minutes: Option<u16>,
        preparation_instructions: Option<String>,
        is_active: bool,
    }
    /// An order (FHIR ServiceRequest). PHI fields are absent unless `phi` is `open`.
    OrderDocument as ImagingOrder {
        patient_id: Uuid,
        encounter_id: Option<Uuid>,
        episode_id: Option<Uuid>,
        ordering_practitioner_id: Option<Uuid>,
        ordering_department_id: Option<Uuid>,
        imaging_procedure_id: Uuid,
        procedure_code: String,
        procedure_name: String,
        modality_code: String,
        priority: values::Priority,
        status: values::OrderStatus,
        requested_at: values::Time,
        scheduled_slot_id: Option<Uuid>,
        performed_start_at: Option<values::Time>,
        performed_end_at: Option<values::Time>,
        accession_number: String,
        fhir_service_request_id: Uuid,
        phi: values::PhiState,
        indication: Option<String>,
        cancellation_reason: Option<String>,
        patient: Option<Map<String, Value>>,
        metadata: Option<Map<String, Value>>,
    }
}
