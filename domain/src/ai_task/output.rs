//! Outputs of AI models: JSON objects, validated by output type. Members without a rule are stored unchanged.

mod payload_rules;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{OutputCreated, OutputPhi, TaskSpec};
use crate::ai_model::TaskType;
use crate::codes::AiModelCode;
use crate::ids::{AiModelId, AiTaskId, PatientId, StudyId};
#[cfg(doc)]
use crate::json::JsonLimitError;
use crate::json::{Json, Members, read_members};
use crate::phi::Phi;
use crate::score::Score;
use crate::text::Text;
use crate::wire_enum;

/// Maximum size of a payload, in bytes of JSON: an event of 256 KiB minus ids, actor and encryption overhead.
pub const MAX_PAYLOAD_BYTES: usize = 252 * 1024;

/// Type of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputType {
    /// Urgency of the case: `{triage_score, flags}`.
    Triage,
    /// Quality of the images: `{score, issues?}`.
    Quality,
    /// Findings: `{findings: [{label, confidence, code?, location?}]}`.
    FindingList,
    /// Locations of findings: `{boxes: [{x, y, width, height, label, ...}]}`.
    Bbox,
    /// Reference to segments (a DICOM SEG, a URL): `{reference}`.
    Segmentation,
    /// Suggested report text: `{findings?, impression?}`.
    SuggestedReport,
    /// Changes since a prior study: `{prior_study_instance_uid?, summary}`.
    Comparison,
}

wire_enum! {
    OutputType: Triage = "triage", Quality = "quality", FindingList = "finding_list",
        Bbox = "bbox", Segmentation = "segmentation", SuggestedReport = "suggested_report",
        Comparison = "comparison";
}

/// Score and flags of a triage: the part of a payload that is not PHI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Triage {
    /// Urgency of the case according to the model.
    pub triage_score: Score,
    /// Suspected findings, as named by the model.
    pub flags: Vec<Text>,
}

/// Payload that satisfies the rules of its output type.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    output_type: OutputType,
    triage: Option<Triage>,
    /// All other members.
    members: Phi<Members>,
}

/// Error in one payload member. Neither field repeats text of the client, which could be PHI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadError {
    /// JSON pointer (RFC 6901) into the payload; empty for the payload as a whole.
    pub pointer: String,
    /// Description of the error.
    pub detail: Cow<'static, str>,
}

impl Payload {
    /// Parses an object and validates it against its output type.
    ///
    /// # Errors
    /// Up to 100 errors: members that are missing or out of range, and the reason why the object cannot be stored
    /// within [`MAX_PAYLOAD_BYTES`] ([`JsonLimitError`]).
    pub fn parse(output_type: OutputType, object: &Json) -> Result<Self, Vec<PayloadError>> {
        let mut members = payload_rules::checked(output_type, object)?;
        let triage = match output_type {
            OutputType::Triage => Some(take_triage(&mut members)),
            OutputType::Quality
            | OutputType::FindingList
            | OutputType::Bbox
            | OutputType::Segmentation
            | OutputType::SuggestedReport
            | OutputType::Comparison => None,
        };
        Ok(Self {
            output_type,
            triage: triage.transpose().map_err(|wrong| vec![wrong])?,
            members: Phi::new(members),
        })
    }

    /// Returns the output type.
    pub const fn output_type(&self) -> OutputType {
        self.output_type
    }

    /// Returns the open part and the PHI. For a triage, the PHI consists of all members except score and flags; for all
    /// other types, of the whole payload.
    pub fn into_parts(self) -> (Option<Triage>, Option<OutputPhi>) {
        let Self {
            triage, members, ..
        } = self;
        let nothing_more = members.expose().is_empty();
        let phi = match &triage {
            Some(_) if nothing_more => None,
            Some(_) => Some(OutputPhi {
                payload: None,
                further: Some(members),
            }),
            None => Some(OutputPhi {
                payload: Some(members),
                further: None,
            }),
        };
        (triage, phi)
    }
}

/// `ImagingAIOutput` (FHIR Observation): resource of an output. It never changes; its PHI is stored separately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiOutput {
    /// Task that produced the output.
    pub imaging_ai_task_id: AiTaskId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
    /// AI model.
    pub ai_model_id: AiModelId,
    /// Code of the model.
    pub ai_model_code: AiModelCode,
    /// Task type.
    pub task_type: TaskType,
    /// Output type.
    pub output_type: OutputType,
    /// Score and flags of a triage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Triage>,
}

impl AiOutput {
    /// Creates the output of a task.
    pub fn from_task(request: &TaskSpec, output_type: OutputType, payload: Option<Triage>) -> Self {
        Self {
            imaging_ai_task_id: request.task_id(),
            imaging_study_id: request.imaging_study_id,
            patient_id: request.patient_id,
            ai_model_id: request.ai_model_id,
            ai_model_code: request.ai_model_code.clone(),
            task_type: request.task_type,
            output_type,
            payload,
        }
    }
}

impl From<OutputCreated> for AiOutput {
    fn from(created: OutputCreated) -> Self {
        Self {
            imaging_ai_task_id: created.ai_task_id,
            imaging_study_id: created.imaging_study_id,
            patient_id: created.patient_id,
            ai_model_id: created.ai_model_id,
            ai_model_code: created.ai_model_code,
            task_type: created.task_type,
            output_type: created.output_type,
            payload: created.payload,
        }
    }
}

fn take_triage(members: &mut Members) -> Result<Triage, PayloadError> {
    let open: Members = ["triage_score", "flags"]
        .into_iter()
        .filter_map(|name| members.remove_entry(name))
        .collect();
    read_members(&open).map_err(|_| PayloadError {
        pointer: String::new(),
        detail: "is not a triage payload".into(),
    })
}
