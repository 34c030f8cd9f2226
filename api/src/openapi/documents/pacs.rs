//! Response bodies of PACS endpoints, studies, series and instances.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::openapi::values;
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
        protocol: values::PacsProtocol,
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
        study_instance_uid: values::Uid,
        accession_number: Option<String>,
        modality_code: String,
        body_part: Option<String>,
        description: Option<String>,
        started_at: Option<values::Time>,
        ended_at: Option<values::Time>,
        link: values::OrderLinkStatus,
        /// Linked order.
        imaging_order_id: Option<Uuid>,
        /// Order referenced by the study that belongs to another patient.
        conflicting_order_id: Option<Uuid>,
        number_of_series: u32,
        number_of_instances: u32,
        viewer_url: Option<String>,
        status: values::StudyStatus,
        phi: values::PhiState,
        patient: Option<Map<String, Value>>,
        /// Members that were left out of a sync; only in the response to the sync.
        warnings: Option<Vec<Warning>>,
    }
    /// A DICOM series. `version` is the study version of its latest change.
    SeriesDocument as ImagingSeries {
        imaging_study_id: Uuid,
        series_instance_uid: values::Uid,
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
        sop_instance_uid: values::Uid,
        sop_class_uid: Option<values::Uid>,
        instance_number: Option<i32>,
    }
}
