//! PACS endpoints, studies, series, instances.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::studies::Warning;

documents! {
    /// A PACS endpoint. What `auth_config` takes is never shown.
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
    /// A study (FHIR ImagingStudy). PHI members are absent where `phi` is not `open`.
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
        /// The order it answers, where it is linked.
        imaging_order_id: Option<Uuid>,
        /// The order it names, where that is another patient's.
        conflicting_order_id: Option<Uuid>,
        number_of_series: u32,
        number_of_instances: u32,
        viewer_url: Option<String>,
        /// available or archived.
        status: String,
        /// open, sealed, erased, or unreadable where what is stored is damaged.
        phi: String,
        patient: Option<Map<String, Value>>,
        /// In the answer of a sync, where some of it was left out.
        warnings: Option<Vec<Warning>>,
    }
    /// A series of a study. `version` is its study's when it was changed last.
    SeriesDocument as ImagingSeries {
        imaging_study_id: Uuid,
        series_instance_uid: String,
        series_number: Option<i32>,
        body_part: Option<String>,
        modality_code: Option<String>,
        number_of_instances: Option<u32>,
        description: Option<String>,
    }
    /// An instance of a series. `version` is its study's when it was added.
    InstanceDocument as ImagingInstance {
        imaging_series_id: Uuid,
        imaging_study_id: Uuid,
        sop_instance_uid: String,
        sop_class_uid: Option<String>,
        instance_number: Option<i32>,
    }
}
