//! Response bodies of PACS endpoints, studies, series and instances.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::studies::Warning;

documents! {
    /// A PACS endpoint. Credentials are never returned.
    PacsEndpointDocument as PACSEndpoint {
        code: String,
        name: String,
        description: Option<String>,
        ae_title: Option<String>,
        host: Option<String>,
        port: Option<u16>,
        protocol: String,
        base_url: Option<String>,
        /// `{"kind": ...}`.
        auth_config: Option<Map<String, Value>>,
        viewer_launch_url: Option<String>,
        completes_order: bool,
        is_active: bool,
    }
    /// A study (FHIR ImagingStudy). PHI fields are absent unless `phi` is `open`.
    StudyDocument as ImagingStudy {
        patient_id: Uuid,
        pacs_endpoint_id: Uuid,
        pacs_endpoint_code: String,
        study_instance_uid: String,
        accession_number: Option<String>,
        modality_code: String,
        body_part: Option<String>,
        description: Option<String>,
        started_at: Option<String>,
        ended_at: Option<String>,
        /// linked, unlinked or conflict.
        link: String,
        /// Linked order.
        imaging_order_id: Option<Uuid>,
        /// Order referenced by the study that belongs to another patient.
        conflicting_order_id: Option<Uuid>,
        number_of_series: u32,
        number_of_instances: u32,
        viewer_url: Option<String>,
        /// available or archived.
        status: String,
        /// PHI state: open, sealed (caller lacks permission), erased (key destroyed) or unreadable (stored data is
        /// corrupt).
        phi: String,
        patient: Option<Map<String, Value>>,
        /// Members that were left out of a sync; only in the response to the sync.
        warnings: Option<Vec<Warning>>,
    }
    /// A DICOM series. `version` is the study version of its latest change.
    SeriesDocument as ImagingSeries {
        imaging_study_id: Uuid,
        series_instance_uid: String,
        series_number: Option<i32>,
        body_part: Option<String>,
        modality_code: Option<String>,
        number_of_instances: Option<u32>,
        description: Option<String>,
    }
    /// A DICOM instance. `version` is the study version at which it was added.
    InstanceDocument as ImagingInstance {
        imaging_series_id: Uuid,
        imaging_study_id: Uuid,
        sop_instance_uid: String,
        sop_class_uid: Option<String>,
        instance_number: Option<i32>,
    }
}
