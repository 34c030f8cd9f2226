//! `RadiologyWorklistItem`: a study on the radiologists' worklist. A study has one item; the item id is derived from
//! the study id.
//!
//! ```text
//! (none) --Create--> pending --Claim--> claimed --> in_progress --> completed
//!                     ^   ^                |  ^--------'|              |
//!                     |   +---- Release ---+------------+              |
//!                     |   +---- late images ---------------------------+
//!                  Create
//!                     |
//!                 cancelled <---- pending, claimed, in_progress
//! ```
//!
//! A cancelled item may be created again. Contributions of AI models are retained through all transitions, separately
//! for each model, and never change the clinician's priority.

mod decide;
mod events;
mod progress;
mod room;
mod triage;

use serde::{Deserialize, Serialize};

pub use events::{Claimed, Created, CreatedPhi, Event, ReleaseReason, Released, Updated};
pub use progress::{Assignment, Lifecycle, Status};
pub use triage::{AiContribution, Flags, MAX_PARTS, Triage};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::body_part::BodyPart;
use crate::change::Change;
use crate::codes::ModalityCode;
use crate::dicom::AccessionNumber;
use crate::growth::StreamBudget;
use crate::ids::{OrderId, PatientId, PractitionerId, StudyId, WorklistItemId};
use crate::json::{Members, members_of};
use crate::order::{self, Priority};
use crate::phi::{Patient, Phi};
use crate::score::Score;
use crate::text::Text;
use crate::time::Timestamp;
use crate::wire_enum;

/// State of a worklist item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorklistItem {
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Case attributes from the study.
    #[serde(flatten)]
    pub case: CaseDetails,
    /// Priority set by a clinician.
    pub priority: Priority,
    /// Lifecycle state and holder.
    #[serde(flatten)]
    pub progress: Lifecycle,
    /// Time of the creation, of the claim, or of the holder's last activity.
    pub last_activity_at: Timestamp,
    /// Contributions of AI models.
    #[serde(flatten)]
    pub triage: Triage,
    /// Attention flags.
    pub attention: Vec<Attention>,
    /// `None` if sealed, erased or unknown.
    #[serde(skip)]
    pub phi: Option<CreatedPhi>,
}

/// Case attributes from the study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseDetails {
    /// Study.
    pub imaging_study_id: StudyId,
    /// Order that the study fulfils.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaging_order_id: Option<OrderId>,
    /// DICOM Modality (0008,0060).
    pub modality_code: ModalityCode,
    /// DICOM Body Part Examined (0018,0015), or a local term.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// DICOM Accession Number (0008,0050).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accession_number: Option<AccessionNumber>,
    /// DICOM Study Description (0008,1030).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
}

/// Attention flag: what a radiologist should know before reading a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Images arrived after completion.
    LateImages,
    /// The order was cancelled, but images exist.
    OrderCancelled,
    /// Study and order belong to different patients.
    LinkConflict,
}

/// Status that an update may request; a claim is a separate command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestedStatus {
    /// Returned to the worklist, even if assigned.
    Pending,
    /// Being read.
    InProgress,
    /// Read.
    Completed,
    /// Not to be read.
    Cancelled,
}

wire_enum! {
    Attention: LateImages = "late_images", OrderCancelled = "order_cancelled",
        LinkConflict = "link_conflict";
    RequestedStatus: Pending = "pending", InProgress = "in_progress", Completed = "completed",
        Cancelled = "cancelled";
}

/// Authority for an operation that is reserved to the holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Own authority: the holder must be this radiologist.
    Own(PractitionerId),
    /// Authority of an administrator: any holder.
    Any,
}

/// Commands of a worklist item.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Puts a study on the worklist; recreates a cancelled item.
    Create(Box<NewItem>),
    /// Claims the item for a radiologist. Reading profile and caseload limit are checked outside the item.
    Claim(Claim),
    /// Releases the item.
    Release(Authority),
    /// Changes requested by a person or another system.
    Update(Box<Update>),
    /// Attaches the order that the study fulfils. Its priority applies if the order is new and the priority is higher;
    /// a cancelled order sets an attention flag.
    AttachOrder(LinkedOrder),
    /// Detaches an order that the study no longer fulfils.
    DetachOrder(OrderId),
    /// Adds the contribution of an AI model; a later contribution of the same model replaces it.
    Contribute(AiContribution),
    /// Reopens a completed item because of late images, with the order that its study currently fulfils.
    Reopen(Option<LinkedOrder>),
    /// Records that the order of the study belongs to another patient.
    MarkConflict,
    /// Starts the item because a report was created.
    Begin,
    /// Completes the item from any open status because the report was signed.
    Complete,
    /// Returns the item to claimed because the report was cancelled.
    ReturnToClaimed,
    /// Releases an idle claim, if it is still the current claim.
    ReleaseIdle {
        /// Idle radiologist.
        radiologist_id: PractitionerId,
        /// Time of the claim.
        claimed_at: Timestamp,
    },
}

/// New worklist item.
#[derive(Debug, Clone, PartialEq)]
pub struct NewItem {
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Case attributes from the study.
    pub case: CaseDetails,
    /// Priority.
    pub priority: Priority,
    /// Attention flags already known.
    pub attention: Vec<Attention>,
    /// Patient demographics, if known from study or order.
    pub patient: Option<Patient>,
}

/// Order that the study of an item fulfils.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkedOrder {
    /// Order id.
    pub order_id: OrderId,
    /// Priority of the order.
    pub priority: Priority,
    /// Status of the order.
    pub status: order::Status,
}

/// New holder of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Radiologist.
    pub radiologist_id: PractitionerId,
    /// Assigning user (the token's subject), if not the radiologist.
    pub assigned_by: Option<String>,
}

/// Changes of an item. Omitted members are unchanged. A release precedes a claim in the same update.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// New status.
    pub status: Option<RequestedStatus>,
    /// Authority for the holder's operations.
    pub authority: Authority,
    /// New priority.
    pub priority: Option<Priority>,
    /// New holder; `Clear` releases the item.
    pub assign: Change<Claim>,
    /// Triage score without a model.
    pub ai_triage_score: Change<Score>,
    /// Triage flags without a model.
    pub ai_triage_flags: Change<Vec<Text>>,
}

/// Domain errors of a worklist item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The study has an item that is open or completed.
    #[error("study already has a worklist item ({status})")]
    AlreadyExists {
        /// Current status.
        status: Status,
    },
    /// The item does not exist.
    #[error("worklist item not found")]
    NotFound,
    /// Only a pending item can be claimed.
    #[error("worklist item with status {status} cannot be claimed")]
    NotPending {
        /// Current status.
        status: Status,
    },
    /// Only the holder may work on the item.
    #[error("the worklist item is held by another radiologist")]
    HeldByOther,
    /// The item has [`MAX_PARTS`] contributions.
    #[error("{MAX_PARTS} models have said something of the study already")]
    TooManyModels,
    /// A pending item has no holder.
    #[error("worklist item is pending; claim it first")]
    NotHeld,
    /// The item is completed or cancelled.
    #[error("the worklist item is {status}")]
    Closed {
        /// Current status.
        status: Status,
    },
}

impl Aggregate for WorklistItem {
    const STREAM_TYPE: &'static str = "RadiologyWorklistItem";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        if let Command::Create(new) = command {
            return decide::create(state, *new, context);
        }
        decide::decide_existing(state.ok_or(Error::NotFound)?, command, context)
    }

    fn evolve(state: Option<Self>, event: Event) -> Result<Self, UnexpectedEvent> {
        events::evolve(state, event)
    }

    fn phi(&self) -> Option<Phi<Members>> {
        self.phi.as_ref().map(|phi| Phi::new(members_of(phi)))
    }

    fn patient_id(&self) -> Option<PatientId> {
        Some(self.patient_id)
    }

    fn room(state: Option<&Self>, command: &Command) -> StreamBudget {
        room::of(state, command)
    }
}

impl WorklistItem {
    /// Returns the item id.
    pub fn id(&self) -> WorklistItemId {
        WorklistItemId::derive(self.case.imaging_study_id)
    }

    /// Returns the status.
    pub fn status(&self) -> Status {
        self.progress.status()
    }

    /// Returns the current assignment; `None` after completion.
    pub fn assignment(&self) -> Option<Assignment> {
        match self.progress {
            Lifecycle::Claimed(holding) | Lifecycle::InProgress(holding) => Some(holding),
            Lifecycle::Pending | Lifecycle::Completed { .. } | Lifecycle::Cancelled => None,
        }
    }

    /// Returns the current holder.
    pub fn holder(&self) -> Option<PractitionerId> {
        self.assignment()
            .map(|assignment| assignment.assigned_radiologist_id)
    }
}

#[cfg(test)]
mod tests;
