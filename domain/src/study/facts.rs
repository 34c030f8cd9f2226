//! What is said of a study, of its series and of their instances (DICOM PS3.3 C.7.2.1, C.7.3.1, C.12.1).

use serde::{Deserialize, Serialize};

use crate::body_part::BodyPart;
use crate::codes::{ModalityCode, PacsEndpointCode};
use crate::dicom::{AccessionNumber, Uid};
use crate::ids::{PacsEndpointId, SeriesId, StudyId};
use crate::text::Text;
use crate::time::Timestamp;

/// What an archive says of a study (DICOM General Study Module, PS3.3 C.7.2.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Where it came from first.
    pub pacs_endpoint_id: PacsEndpointId,
    /// That endpoint's code, which never changes.
    pub pacs_endpoint_code: PacsEndpointCode,
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: Uid,
    /// Accession Number (0008,0050).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accession_number: Option<AccessionNumber>,
    /// Modality (0008,0060).
    pub modality_code: ModalityCode,
    /// Body Part Examined (0018,0015), or the house's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// Study Description (0008,1030).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Study Date and Time (0008,0020 and 0008,0030).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the last image was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// A series as a resource: what one acquisition made (PS3.3 C.7.3.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its study.
    pub imaging_study_id: StudyId,
    /// What is said of it.
    #[serde(flatten)]
    pub facts: SeriesAttributes,
}

/// What is said of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesAttributes {
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: Uid,
    /// Series Number (0020,0011).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series_number: Option<i32>,
    /// Body Part Examined (0018,0015), or the house's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// Modality (0008,0060).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality_code: Option<ModalityCode>,
    /// The larger of what was stated and what is listed; absent where neither is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_of_instances: Option<u32>,
    /// Series Description (0008,103E).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
}

/// An instance as a resource: one image, or another object (PS3.3 C.12.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its series.
    pub imaging_series_id: SeriesId,
    /// The series' study.
    pub imaging_study_id: StudyId,
    /// What is said of it.
    #[serde(flatten)]
    pub facts: InstanceAttributes,
}

/// What is said of an instance.
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
