//! Attributes of studies, series and instances (DICOM PS3.3 C.7.2.1, C.7.3.1, C.12.1).

use serde::{Deserialize, Serialize};

use crate::body_part::BodyPart;
use crate::codes::{ModalityCode, PacsEndpointCode};
use crate::dicom::{AccessionNumber, Uid};
use crate::ids::{PacsEndpointId, SeriesId, StudyId};
use crate::text::Text;
use crate::time::Timestamp;

/// Attributes of a study reported by a PACS (DICOM General Study Module, PS3.3 C.7.2.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// PACS endpoint that first reported the study.
    pub pacs_endpoint_id: PacsEndpointId,
    /// Code of the endpoint; never changes.
    pub pacs_endpoint_code: PacsEndpointCode,
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: Uid,
    /// Accession Number (0008,0050).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accession_number: Option<AccessionNumber>,
    /// Modality (0008,0060).
    pub modality_code: ModalityCode,
    /// Body Part Examined (0018,0015), or a local term.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// Study Description (0008,1030).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Study Date and Time (0008,0020 and 0008,0030).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Time of the last image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// Series resource: the result of one acquisition (PS3.3 C.7.3.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Study of the series.
    pub imaging_study_id: StudyId,
    /// Attributes.
    #[serde(flatten)]
    pub facts: SeriesAttributes,
}

/// Attributes of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesAttributes {
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: Uid,
    /// Series Number (0020,0011).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series_number: Option<i32>,
    /// Body Part Examined (0018,0015), or a local term.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// Modality (0008,0060).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality_code: Option<ModalityCode>,
    /// Larger of the stated and the listed number; absent if neither exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_of_instances: Option<u32>,
    /// Series Description (0008,103E).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
}

/// Instance resource: one image or another object (PS3.3 C.12.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Series of the instance.
    pub imaging_series_id: SeriesId,
    /// Study of the series.
    pub imaging_study_id: StudyId,
    /// Attributes.
    #[serde(flatten)]
    pub facts: InstanceAttributes,
}

/// Attributes of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceAttributes {
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: Uid,
    /// SOP Class UID (0008,0016).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sop_class_uid: Option<Uid>,
    /// Instance Number (0020,0013).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_number: Option<i32>,
}
