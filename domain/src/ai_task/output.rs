//! What a model answers: a JSON object, checked by its type. Members that no type names are kept as they are.

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

/// The largest payload, in bytes of its JSON: what an event of 256 KiB holds beside its ids, its actor and its seal.
pub const MAX_PAYLOAD_BYTES: usize = 252 * 1024;

/// What kind of result it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputType {
    /// How urgent the case is: `{triage_score, flags}`.
    Triage,
    /// How good the images are: `{score, issues?}`.
    Quality,
    /// What was found: `{findings: [{label, confidence, code?, location?}]}`.
    FindingList,
    /// Where it was found: `{boxes: [{x, y, width, height, label, ...}]}`.
    Bbox,
    /// Where the segments lie (a DICOM SEG, a URL): `{reference}`.
    Segmentation,
    /// What a report could say: `{findings?, impression?}`.
    SuggestedReport,
    /// What changed: `{prior_study_instance_uid?, summary}`.
    Comparison,
}

wire_enum! {
    OutputType: Triage = "triage", Quality = "quality", FindingList = "finding_list",
        Bbox = "bbox", Segmentation = "segmentation", SuggestedReport = "suggested_report",
        Comparison = "comparison";
}

/// A triage's score and flags: the part of a payload that is no PHI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Triage {
    /// How urgent the model finds the case.
    pub triage_score: Score,
    /// What it suspects, in its own words.
    pub flags: Vec<Text>,
}

/// A result that holds what its type asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    output_type: OutputType,
    triage: Option<Triage>,
    /// All other members.
    members: Phi<Members>,
}

/// What is wrong with one member. Neither part repeats a client's words: they could be PHI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadError {
    /// A JSON pointer (RFC 6901) into the payload; empty for the whole of it.
    pub pointer: String,
    /// What is wrong there.
    pub detail: Cow<'static, str>,
}

impl Payload {
    /// Checks an object by its type.
    ///
    /// # Errors
    /// What is wrong, the first hundred of it: members that are missing or out of range, and what keeps an object of
    /// [`MAX_PAYLOAD_BYTES`] from being kept ([`JsonLimitError`]).
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

    /// What kind of result it is.
    pub const fn output_type(&self) -> OutputType {
        self.output_type
    }

    /// The open part and the PHI: of a triage only what goes beyond score and flags, of the others all.
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

/// `ImagingAIOutput` (FHIR Observation): a result as it is read. It never changes; its PHI goes beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiOutput {
    /// The task it came of.
    pub imaging_ai_task_id: AiTaskId,
    /// The study.
    pub imaging_study_id: StudyId,
    /// The patient.
    pub patient_id: PatientId,
    /// The model.
    pub ai_model_id: AiModelId,
    /// That model's code.
    pub ai_model_code: AiModelCode,
    /// What was asked for.
    pub task_type: TaskType,
    /// What came.
    pub output_type: OutputType,
    /// A triage's score and flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Triage>,
}

impl AiOutput {
    /// A result of a task.
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
